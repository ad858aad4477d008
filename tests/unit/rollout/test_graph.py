"""The graph runs what it can at once, keeps needs, and stops at the first failure."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from groundplane.errors import StateError
from groundplane.events import Event, Failed, Finished, Outcome, Planned, Started, silent
from groundplane.rollout import Job, in_order, run_jobs


def job(name: str, *needs: str, run: Callable[[Outcome], Awaitable[None]] | None = None) -> Job:
    async def nothing(outcome: Outcome) -> None:
        outcome.changed = False

    return Job(name=name, subject="m", step=name, run=run or nothing, needs=needs)


def test_order_follows_needs() -> None:
    names = [entry.name for entry in in_order([job("c", "b"), job("b", "a"), job("a")])]
    assert names == ["a", "b", "c"]


@pytest.mark.parametrize(
    ("jobs", "words"),
    [
        ([job("a", "b"), job("b", "a")], "circle"),
        ([job("a", "zzz")], "zzz"),
        ([job("a"), job("a")], "same name"),
    ],
)
def test_contradictions_are_refused(jobs: list[Job], words: str) -> None:
    with pytest.raises(StateError, match=words):
        in_order(jobs)


def test_independent_jobs_overlap() -> None:
    met = asyncio.Event()

    async def first(outcome: Outcome) -> None:
        await asyncio.wait_for(met.wait(), 5)

    async def second(outcome: Outcome) -> None:
        met.set()

    assert asyncio.run(run_jobs([job("a", run=first), job("b", run=second)], silent))


def test_nothing_changed_is_told() -> None:
    assert not asyncio.run(run_jobs([job("a"), job("b", "a")], silent))


def test_a_failure_stops_what_needs_it_and_is_kept() -> None:
    events: list[Event] = []
    ran: list[str] = []

    async def fails(outcome: Outcome) -> None:
        raise StateError("no")

    async def never(outcome: Outcome) -> None:
        ran.append("b")

    with pytest.raises(ExceptionGroup) as caught:
        asyncio.run(run_jobs([job("a", run=fails), job("b", "a", run=never)], events.append))
    assert [str(error) for error in caught.value.exceptions] == ["no"]
    assert ran == []
    assert events[0] == Planned("platform", "jobs", steps=(("m", "a"), ("m", "b")))
    assert [type(event) for event in events[1:]] == [Started, Failed]


def test_events_tell_begin_and_end() -> None:
    events: list[Event] = []
    asyncio.run(run_jobs([job("a")], events.append))
    assert [(type(event), event.subject, event.step) for event in events[1:]] == [
        (Started, "m", "a"),
        (Finished, "m", "a"),
    ]
