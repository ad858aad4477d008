"""From what was seen to figures. Pure."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from itertools import pairwise
from statistics import median
from typing import Final

from groundplane.drill.model import (
    SLOW,
    Answer,
    Figures,
    Finding,
    FromPod,
    JournalLine,
    Moment,
    Promise,
    Sample,
    Sign,
    Timeline,
    Use,
    UseFigures,
)
from groundplane.verify.report import Report

NO_GAP: Final = 0.2
"""Seconds without a good answer that a busy computer alone may cause."""
NO_SILENCE: Final = 0.07
"""Seconds in which nobody may answer for the floating address without having lost it."""


def measure(timeline: Timeline, signs: Sequence[Sign], found: Collection[int]) -> Figures:
    """The figures of a drill. ``found`` are the numbers of the objects that were there to be read at its end."""
    injected = timeline.injected
    begin, length = gap(timeline)
    pauses = gaps(timeline)
    after = [sample for sample in timeline.requests if sample.end >= injected]
    before = [sample.seconds for sample in timeline.requests if sample.end < injected and sample.ok]
    acknowledged = {write.number for write in timeline.writes if write.sample.ok}
    moved = _moved(timeline.answers, injected)
    detected = [_first(timeline.journal, sign, injected) for sign in signs if sign.detects]
    seen = [line.at for line in detected if line is not None]
    return Figures(
        gap_seconds=length,
        gap_from=begin - injected,
        usual_seconds=median(before) if before else 0.0,
        requests=len(timeline.requests),
        failed_requests=sum(not sample.ok for sample in after),
        slow_requests=sum(sample.ok and sample.seconds > SLOW for sample in after),
        acknowledged_writes=len(acknowledged),
        lost_writes=len(acknowledged - set(found)),
        questions=len(timeline.answers),
        double_address=any(len(answer.macs) > 1 for answer in timeline.answers),
        detect_seconds=min(seen) - injected if seen else None,
        moved_seconds=None if moved is None else moved.at - injected,
        takeover_seconds=sum(pauses[0]) - injected if pauses else None,
        healed_seconds=None if timeline.healed is None else timeline.healed - injected,
        from_pods=tuple(
            _use(use, pods, timeline) for use in Use if (pods := [pod for pod in timeline.pods if pod.use is use])
        ),
    )


def _use(use: Use, pods: Sequence[FromPod], timeline: Timeline) -> UseFigures:
    injected = timeline.injected
    samples = from_pods(timeline, use)
    after = [sample for sample in samples if sample.end >= injected]
    mended = timeline.ended if timeline.undone is None else timeline.undone
    failing = [max(sample.at - injected, 0.0) for sample in after if not sample.ok and sample.at < mended]
    return UseFigures(
        use=use,
        nodes=tuple(pod.node for pod in pods),
        requests=len(samples),
        failed_requests=sum(not sample.ok for sample in after),
        slow_requests=sum(sample.ok and sample.seconds > SLOW for sample in after),
        gap_seconds=max(length for pod in pods for _, length in _pauses(pod.samples, injected, timeline.ended)),
        longest_seconds=max((sample.seconds for sample in after), default=0.0),
        failing_seconds=max(failing, default=None),
    )


def from_pods(timeline: Timeline, use: Use) -> tuple[Sample, ...]:
    """All that pods asked of one use."""
    return tuple(sample for pod in timeline.pods if pod.use is use for sample in pod.samples)


def gap(timeline: Timeline) -> tuple[float, float]:
    """When the longest time without a good answer began, and how long it was; only what ends after the fault counts.

    Where no good answer came any more, it lasts until the end of the observation.
    """
    return max(_pauses(timeline.requests, timeline.injected, timeline.ended), key=lambda pause: (pause[1], -pause[0]))


def gaps(timeline: Timeline) -> tuple[tuple[float, float], ...]:
    """Every such time that is worth speaking of, in order."""
    pauses = _pauses(timeline.requests, timeline.injected, timeline.ended)
    return tuple(pause for pause in pauses if pause[1] > NO_GAP)


def _pauses(samples: Iterable[Sample], injected: float, ended: float) -> list[tuple[float, float]]:
    good = sorted(sample.end for sample in samples if sample.ok)
    if not good:
        return [(injected, ended - injected)]
    pairs = [*pairwise(good), (good[-1], max(ended, good[-1]))]
    return [(begin, end - begin) for begin, end in pairs if end >= injected]


def steady(requests: Sequence[Sample], now: float, *, seconds: float, every: float) -> bool:
    """Whether clients are being served: all that was asked in the last ``seconds`` was answered well, and in time."""
    asked = [sample for sample in reversed(requests) if now - seconds <= sample.at]
    return len(asked) >= 0.6 * seconds / every and all(sample.ok and sample.seconds <= SLOW for sample in asked)


def moments(timeline: Timeline, signs: Sequence[Sign]) -> tuple[Moment, ...]:
    """The points of the timeline that have a name, in order of time."""
    found = [Moment(timeline.injected, "the fault")]
    for sign in signs:
        if (line := _first(timeline.journal, sign, timeline.injected)) is not None:
            found.append(Moment(line.at, sign.title, line.machine))
    if (moved := _moved(timeline.answers, timeline.injected)) is not None:
        who = ", ".join(timeline.names.get(mac, mac) for mac in moved.macs)
        found.append(Moment(moved.at, "answers for the floating address", who))
    longest = gap(timeline)[1]
    # On a busy computer there are many small ones: those are the drawing's to show.
    served = (begin + length for begin, length in gaps(timeline) if length >= longest / 2)
    found += [Moment(at, "clients are served again") for at in served]
    if timeline.undone is not None:
        found.append(Moment(timeline.undone, "the drill has mended its fault"))
    if timeline.healed is not None:
        found.append(Moment(timeline.healed, "the platform is whole"))
    return tuple(sorted(found, key=lambda moment: moment.at))


def judge(figures: Figures, promise: Promise, checks: Report) -> tuple[Finding, ...]:
    """What every drill must find."""
    failed = [result.name for result in checks.broken]
    healed = "it did not in time" if figures.healed_seconds is None else f"after {figures.healed_seconds:.1f} s"
    findings = [
        Finding(
            f"clients wait {promise.gap:g} s at most",
            figures.gap_seconds <= promise.gap,
            f"{figures.gap_seconds:.2f} s without a good answer",
        ),
        Finding(
            "at no moment two machines answer for the floating address",
            figures.questions > 0 and not figures.double_address,
            f"{figures.questions} questions asked",
        ),
        Finding(
            "no acknowledged write is lost",
            figures.acknowledged_writes > 0 and figures.lost_writes == 0,
            f"{figures.lost_writes} of {figures.acknowledged_writes} lost",
        ),
        Finding("the platform heals", figures.healed_seconds is not None, healed),
        Finding(
            "every check holds afterwards",
            bool(checks.results) and not failed,
            ", ".join(failed) or f"{len(checks.results)} checks passed",
        ),
    ]
    findings += [
        Finding(
            f"from pods, {use.use} fails for {promise.pods:g} s at most",
            use.requests > 0 and (use.failing_seconds or 0.0) <= promise.pods,
            _failing(use),
        )
        for use in figures.from_pods
    ]
    if not promise.may_fail:
        findings.insert(
            1, Finding("no request fails", not figures.failed_requests, f"{figures.failed_requests} requests failed")
        )
    return tuple(findings)


def _failing(use: UseFigures) -> str:
    if use.failing_seconds is None:
        return f"none of {use.requests} requests failed"
    return f"{use.failed_requests} of {use.requests} requests failed, the last after {use.failing_seconds:.1f} s"


def reasons(samples: Iterable[Sample]) -> tuple[tuple[str, int], ...]:
    """Why requests failed and how many of them each, the most frequent first."""
    counted: dict[str, int] = {}
    for sample in samples:
        if not sample.ok:
            counted[sample.why] = counted.get(sample.why, 0) + 1
    return tuple(sorted(counted.items(), key=lambda pair: (-pair[1], pair[0])))


def holders(answers: Sequence[Answer], names: Mapping[str, str]) -> tuple[tuple[float, float, str], ...]:
    """Who answered from when until when, silence as an empty name. A question or two that a busy computer answered
    too late are no silence."""
    stretches = [(begin, end, " and ".join(names.get(mac, mac) for mac in macs)) for begin, end, macs in _runs(answers)]
    found: list[tuple[float, float, str]] = []
    for number, (begin, end, who) in enumerate(stretches):
        last = number == len(stretches) - 1
        if not who and found and not last and end - begin < NO_SILENCE and stretches[number + 1][2] == found[-1][2]:
            continue
        if found and found[-1][2] == who:
            found[-1] = (found[-1][0], end, who)
        else:
            found.append((begin, end, who))
    return tuple(found)


def _runs(answers: Sequence[Answer]) -> Iterator[tuple[float, float, tuple[str, ...]]]:
    """Questions in a row with the same answers: each run lasts until the next begins."""
    begin = 0
    for number, answer in enumerate(answers):
        if number + 1 == len(answers):
            yield answers[begin].at, answer.at, answer.macs
        elif answers[number + 1].macs != answer.macs:
            yield answers[begin].at, answers[number + 1].at, answer.macs
            begin = number + 1


def _first(journal: Sequence[JournalLine], sign: Sign, since: float) -> JournalLine | None:
    matching = (
        line
        for line in journal
        if line.at >= since and line.program == sign.program and re.search(sign.pattern, line.text)
    )
    return min(matching, key=lambda line: line.at, default=None)


def _moved(answers: Sequence[Answer], since: float) -> Answer | None:
    """The first answer after the fault by another machine than before it."""
    before = next((answer.macs for answer in reversed(answers) if answer.at < since and answer.macs), ())
    return next((answer for answer in answers if answer.at >= since and set(answer.macs) - set(before)), None)
