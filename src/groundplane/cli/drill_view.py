"""Drills as text."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from groundplane.cli.output import Channel, columns, duration

if TYPE_CHECKING:
    from groundplane.drill import DrillReport, Refused


def listing_lines(channel: Channel) -> Iterator[str]:
    """What each drill breaks, what it risks and needs."""
    from groundplane.drill import DRILLS

    for drill in DRILLS:
        yield f"{channel.style(drill.name, 'name')}: {drill.title}"
        yield channel.style(f"    risk: {drill.risk}", "dim")
        if drill.needs:
            yield channel.style(f"    needs: {', '.join(drill.needs)}", "dim")


def report_lines(report: DrillReport, channel: Channel) -> Iterator[str]:
    """One drill: what it did, when what happened, what it found."""
    figures = report.figures
    yield f"{channel.mark(report.ok)} {channel.style(report.name, 'name')}: {'; '.join(report.acts)}"
    rows = [
        (
            channel.style(f"{moment.at - report.timeline.injected:+8.3f} s", "dim"),
            f"{moment.where}: {moment.title}" if moment.where else moment.title,
        )
        for moment in report.moments
    ]
    yield from (f"    {line}" for line in columns(rows, channel))
    yield (
        f"    clients waited {figures.gap_seconds:.2f} s; {figures.failed_requests} of {figures.requests} requests "
        f"failed, {figures.slow_requests} were slow; whole after {_after(figures.healed_seconds)}"
    )
    for use in figures.from_pods:
        yield (
            f"    pods waited {use.gap_seconds:.2f} s for {use.use}; "
            f"{use.failed_requests} of {use.requests} requests failed{_last(use.failing_seconds)}, "
            f"{use.slow_requests} were slow, the slowest took {use.longest_seconds:.2f} s"
        )
    findings = [(channel.mark(finding.ok), finding.title, finding.seen) for finding in report.findings]
    yield from (f"    {line}" for line in columns(findings, channel))


def refused_line(refused: Refused, channel: Channel) -> str:
    return channel.style(f"- {refused.name}: not done: {refused.reason}", "dim")


def _last(seconds: float | None) -> str:
    return "" if seconds is None else f", the last after {duration(seconds)}"


def _after(seconds: float | None) -> str:
    return "nothing we waited for" if seconds is None else duration(seconds)
