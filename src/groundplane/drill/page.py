"""Drills as one HTML page that needs nothing besides itself: no script, no font, no image from anywhere. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from html import escape
from importlib.resources import files
from typing import Final

from groundplane.drill.draw import close_up, colours, drawing, whole
from groundplane.drill.measure import from_pods, reasons
from groundplane.drill.model import DrillReport, Figures, Suite, Use

_POLICY: Final = "default-src 'none'; style-src 'unsafe-inline'"


def page(suite: Suite) -> str:
    """The whole document."""
    title = suite.reports[0].name if len(suite.reports) == 1 else "drills"
    platform = suite.reports[0].platform if suite.reports else ""
    style = files("groundplane.drill").joinpath("page.css").read_text(encoding="utf-8")
    parts = [
        "<!DOCTYPE html>",
        '<html lang="en">',
        "<head>",
        '<meta charset="utf-8">',
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        '<meta name="color-scheme" content="light dark">',
        f"<title>{escape(title)} on {escape(platform)}</title>",
        f"<style>\n{style}</style>",
        "</head>",
        "<body>",
        "<main>",
        *(_index(suite) if len(suite.reports) != 1 or suite.refused or suite.stopped else ()),
        *(line for report in suite.reports for line in _section(report)),
        "</main>",
        "</body>",
        "</html>",
    ]
    return "\n".join(parts) + "\n"


def _index(suite: Suite) -> Iterator[str]:
    good = sum(report.ok for report in suite.reports)
    yield f"<h1>{good} of {len(suite.reports)} drills passed</h1>"
    rows = [
        (
            _mark(report.ok),
            f'<a href="#{escape(report.name)}">{escape(report.name)}</a>',
            f"{report.figures.gap_seconds:.2f} s",
            str(report.figures.failed_requests),
            str(report.figures.lost_writes),
            _seconds(report.figures.healed_seconds),
        )
        for report in suite.reports
    ]
    yield from _table(("", "drill", "gap", "failed requests", "lost writes", "whole after"), rows)
    if suite.stopped:
        yield f'<p class="no">Nothing was done after {escape(suite.stopped)}.</p>'
    for refused in suite.refused:
        yield f'<p class="dim">{escape(refused.name)} was not done: {escape(refused.reason)}.</p>'


def _section(report: DrillReport) -> Iterator[str]:
    timeline = report.timeline
    yield f'<section id="{escape(report.name)}">'
    yield f"<h2>{_mark(report.ok)} {escape(report.name)}</h2>"
    yield f"<p>{escape(report.title)}.</p>"
    yield (
        f'<p class="dim">Platform {escape(report.platform)}, {report.started:%Y-%m-%d %H:%M:%S} UTC. '
        f"{escape('; '.join(report.acts))}.</p>"
    )
    yield from _tiles(report.figures)
    yield from _from_pods(report.figures)
    yield "<h3>Around the fault</h3>"
    yield drawing(timeline, report.moments, close_up(timeline, report.moments), f"{report.name}: around the fault")
    yield from _legend(report)
    yield "<h3>From beginning to end</h3>"
    yield drawing(timeline, report.moments, whole(timeline), f"{report.name}: from beginning to end")
    yield "<h3>What happened when</h3>"
    yield from _table(
        ("", "after", "machine", "what"),
        [
            (str(number), f"{moment.at - timeline.injected:+.3f} s", escape(moment.where), escape(moment.title))
            for number, moment in enumerate(report.moments, 1)
        ],
    )
    yield "<h3>What had to hold</h3>"
    yield from _table(
        ("", "what", "seen"),
        [(_mark(finding.ok), escape(finding.title), escape(finding.seen)) for finding in report.findings],
    )
    yield from _failures(report)
    yield from _journal(report)
    yield from _checks(report)
    yield "</section>"


def _tiles(figures: Figures) -> Iterator[str]:
    tiles = (
        ("gap", f"{figures.gap_seconds:.2f} s", "longest time without a good answer"),
        ("failed", str(figures.failed_requests), f"of {figures.requests} requests, one every 20 ms"),
        ("slow", str(figures.slow_requests), "took longer than 250 ms"),
        ("lost writes", str(figures.lost_writes), f"of {figures.acknowledged_writes} acknowledged"),
        ("detected", _seconds(figures.detect_seconds), "after the fault"),
        ("taken over", _seconds(figures.takeover_seconds), "after the fault"),
        ("whole", _seconds(figures.healed_seconds), "after the fault"),
        ("usual", f"{figures.usual_seconds * 1000:.1f} ms", "a request before the fault (median)"),
    )
    yield '<dl class="tiles">'
    for name, value, words in tiles:
        yield f"<div><dt>{name}</dt><dd>{value}</dd><p>{words}</p></div>"
    yield "</dl>"


def _from_pods(figures: Figures) -> Iterator[str]:
    rows = [
        (
            use.use.value,
            escape(", ".join(use.nodes)),
            f"{use.gap_seconds:.2f} s",
            f"{use.failed_requests} of {use.requests}",
            str(use.slow_requests),
            f"{use.longest_seconds:.2f} s",
            _seconds(use.failing_seconds),
        )
        for use in figures.from_pods
    ]
    if rows:
        yield "<h3>What pods noticed</h3>"
        yield from _table(("use", "from pods on", "gap", "failed", "slow", "slowest", "the last failed after"), rows)


def _legend(report: DrillReport) -> Iterator[str]:
    entries = [
        ("good", "answered"),
        ("slow", "slow"),
        ("bad", "failed"),
        ("gap", "no good answer"),
        ("fault", "the fault"),
    ]
    entries += [(f"holder{number}", f"{name} answers") for name, number in colours(report.timeline).items()]
    yield '<ul class="legend">'
    for style, words in entries:
        yield f'<li><span class="{style}"></span>{escape(words)}</li>'
    yield "</ul>"


def _failures(report: DrillReport) -> Iterator[str]:
    writes = [write.sample for write in report.timeline.writes]
    rows = [
        (str(count), what, escape(why))
        for what, samples in (
            ("requests", report.timeline.requests),
            ("writes", writes),
            *((f"{use} from pods", from_pods(report.timeline, use)) for use in Use),
        )
        for why, count in reasons(samples)
    ]
    if rows:
        yield "<h3>How requests failed</h3>"
        yield from _table(("count", "", "why"), rows)


def _journal(report: DrillReport) -> Iterator[str]:
    lines = report.timeline.journal
    yield f"<details><summary>What the components logged ({len(lines)} lines)</summary>"
    rows = [
        (
            f"{line.at - report.timeline.injected:+.3f}",
            escape(line.machine),
            escape(line.program),
            f"<code>{escape(line.text)}</code>",
        )
        for line in lines
    ]
    yield from _table(("seconds", "machine", "program", "line"), rows)
    yield "</details>"


def _checks(report: DrillReport) -> Iterator[str]:
    results = report.checks.results
    yield f"<details><summary>The verification afterwards ({len(results)} checks)</summary>"
    rows = [(_mark(result.ok), escape(result.name), escape(result.title), escape(result.seen)) for result in results]
    yield from _table(("", "check", "what", "seen"), rows)
    yield "</details>"


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> Iterator[str]:
    """A table; its cells are HTML already."""
    yield '<div class="wide"><table>'
    yield f"<thead><tr>{''.join(f'<th>{cell}</th>' for cell in head)}</tr></thead>"
    yield "<tbody>"
    for row in rows:
        yield f"<tr>{''.join(f'<td>{cell}</td>' for cell in row)}</tr>"
    yield "</tbody></table></div>"


def _mark(ok: bool) -> str:
    return '<span class="yes">✓</span>' if ok else '<span class="no">✗</span>'


def _seconds(value: float | None) -> str:
    return "—" if value is None else f"{value:.2f} s"
