"""A report of checks, as text and as a document."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from groundplane.cli.output import Channel, columns, duration

if TYPE_CHECKING:
    from groundplane.verify.report import Report


def report_document(report: Report) -> dict[str, object]:
    """See docs/json.md, groundplane/verify/v1."""
    return {"ok": report.ok, "checks": report.results}


def report_lines(report: Report, channel: Channel, *, verbose: bool) -> Iterator[str]:
    """One line per check where ``verbose``, else only for those that failed, and a last line that counts them. One that
    was not asked is no finding: without ``verbose`` it is only counted."""
    shown = report.results if verbose else report.broken
    rows = [
        (channel.mark(result.ok), channel.style(result.name, "name"), result.title, duration(result.seconds))
        for result in shown
    ]
    for result, line in zip(shown, columns(rows, channel), strict=True):
        yield line
        if result.seen and (verbose or not result.ok):
            for seen in result.seen.splitlines():
                yield channel.style(f"    {seen}", "dim")
        if not result.ok and result.remedy:
            yield f"    {channel.style('next:', 'hint')} {result.remedy}"
    if report.results:
        good = sum(result.ok for result in report.results)
        left = sum(not result.asked for result in report.results)
        unasked = f", {left} not asked: what they need does not hold" if left else ""
        yield f"{good} of {len(report.results)} checks passed{unasked}"
