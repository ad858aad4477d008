"""Drills as documents; docs/json.md describes them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import fields

from groundplane.drill.catalogue import DRILLS
from groundplane.drill.measure import from_pods, gaps, holders, reasons
from groundplane.drill.model import DrillReport, Figures, Moment, Suite, Timeline, Use, UseFigures


def listing() -> dict[str, object]:
    """groundplane/drill-list/v1"""
    return {
        "drills": [
            {"name": drill.name, "title": drill.title, "risk": drill.risk, "needs": drill.needs} for drill in DRILLS
        ]
    }


def document(report: DrillReport) -> dict[str, object]:
    """groundplane/drill/v1. Seconds are rounded to milliseconds: nothing here is known any better."""
    figures = _fields(report.figures)
    return {
        "name": report.name,
        "title": report.title,
        "platform": report.platform,
        "started": report.started,
        "ok": report.ok,
        **_rounded(figures),
        "from_pods": [_rounded(_fields(use)) for use in report.figures.from_pods],
        "gaps": [
            {"from": round(begin - report.timeline.injected, 3), "seconds": round(length, 3)}
            for begin, length in gaps(report.timeline)
        ],
        "acts": report.acts,
        "findings": report.findings,
        "moments": _moments(report.moments, report.timeline.injected),
        "holders": _holders(report.timeline),
        "failures": [
            {"what": what, "why": why, "count": count}
            for what, samples in (
                ("request", report.timeline.requests),
                ("write", [write.sample for write in report.timeline.writes]),
                *((use.value, from_pods(report.timeline, use)) for use in Use),
            )
            for why, count in reasons(samples)
        ],
        "journal": [
            {
                "at": round(line.at - report.timeline.injected, 6),
                "machine": line.machine,
                "program": line.program,
                "text": line.text,
            }
            for line in report.timeline.journal
        ],
        "checks": report.checks.results,
    }


def suite_document(suite: Suite) -> dict[str, object]:
    """groundplane/drill-all/v1"""
    return {
        "ok": suite.ok,
        "drills": [document(report) for report in suite.reports],
        "refused": suite.refused,
        "stopped": suite.stopped,
    }


def _fields(figures: Figures | UseFigures) -> dict[str, object]:
    return {field.name: getattr(figures, field.name) for field in fields(figures)}


def _rounded(figures: Mapping[str, object]) -> dict[str, object]:
    return {name: round(value, 3) if isinstance(value, float) else value for name, value in figures.items()}


def _moments(moments: Iterable[Moment], injected: float) -> list[dict[str, object]]:
    return [{"at": round(moment.at - injected, 3), "title": moment.title, "where": moment.where} for moment in moments]


def _holders(timeline: Timeline) -> list[dict[str, object]]:
    return [
        {"from": round(begin - timeline.injected, 3), "until": round(end - timeline.injected, 3), "machine": machine}
        for begin, end, machine in holders(timeline.answers, timeline.names)
    ]
