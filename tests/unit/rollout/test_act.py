"""Acts run as soon as they may, hold what must hold around them, and stop at the first failure."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from groundplane.errors import ApplyError, GroundplaneError, StateError
from groundplane.events import Event, Failed, Finished, Noticed, Outcome, Planned, Started, silent
from groundplane.rollout import Act, carry_out, in_order
from groundplane.state.step import Reach
from groundplane.transport.fake import FakeTransport
from groundplane.verify.check import Check
from groundplane.verify.condition import NotYet

Run = Callable[[Outcome], Awaitable[None]]


async def nothing(outcome: Outcome) -> None:
    outcome.changed = False


def act(name: str, *needs: str, run: Run = nothing, finishes: bool = False) -> Act:
    return Act(name, name, "work", run, needs, finishes=finishes)


def done(*acts: Act, emit: Callable[[Event], None] = silent) -> bool:
    return asyncio.run(carry_out(acts, FakeTransport(), emit))


def failures(*acts: Act) -> list[str]:
    with pytest.raises(ExceptionGroup) as caught:
        done(*acts)
    return [str(error) for error in caught.value.exceptions]


def test_order_follows_needs() -> None:
    names = [entry.name for entry in in_order([act("c", "b"), act("b", "a"), act("a")])]
    assert names == ["a", "b", "c"]


@pytest.mark.parametrize(
    ("acts", "words"),
    [
        ([act("a", "b"), act("b", "a")], "circle"),
        ([act("a", "zzz")], "zzz"),
        ([act("a"), act("a")], "same name"),
    ],
)
def test_contradictions_are_refused(acts: list[Act], words: str) -> None:
    with pytest.raises(StateError, match=words):
        in_order(acts)


def test_independent_acts_overlap() -> None:
    met = asyncio.Event()

    async def first(outcome: Outcome) -> None:
        await asyncio.wait_for(met.wait(), 5)

    async def second(outcome: Outcome) -> None:
        met.set()

    assert done(act("a", run=first), act("b", run=second))


def test_nothing_changed_is_told() -> None:
    assert not done(act("a"), act("b", "a"))
    assert not done()


def test_events_tell_begin_and_end() -> None:
    events: list[Event] = []
    done(act("a"), emit=events.append)
    assert [(type(event), event.subject, event.step) for event in events if not isinstance(event, Planned)] == [
        (Started, "a", "work"),
        (Finished, "a", "work"),
    ]


def failing(*log: str) -> Run:
    async def run(_: Outcome) -> None:
        raise ApplyError("no space left on device", where="b", detail="ENOSPC")

    return run


def test_a_failure_stops_what_has_not_begun_and_says_what_is_done() -> None:
    ran: list[str] = []
    events: list[Event] = []

    async def notes(outcome: Outcome) -> None:
        ran.append("c")

    acts = (
        act("a", finishes=True),
        act("b", "a", run=failing(), finishes=True),
        act("c", "b", run=notes, finishes=True),
    )
    with pytest.raises(ExceptionGroup) as caught:
        done(*acts, emit=events.append)
    (error,) = caught.value.exceptions
    assert isinstance(error, GroundplaneError)
    assert error.detail == "ENOSPC\ndone: a\nuntouched: c"
    assert ran == []
    assert any(isinstance(event, Failed) for event in events)


@pytest.mark.parametrize("finishes", [True, False])
def test_what_finishes_is_brought_to_its_end_and_the_rest_is_stopped(finishes: bool) -> None:
    ended: list[str] = []

    async def slow(_: Outcome) -> None:
        await asyncio.sleep(0.01)
        ended.append("slow")

    assert failures(act("slow", run=slow, finishes=finishes), act("b", run=failing())) == ["b: no space left on device"]
    assert ended == (["slow"] if finishes else [])


def test_every_failure_is_kept() -> None:
    assert len(failures(act("a", run=failing(), finishes=True), act("b", run=failing(), finishes=True))) == 2


def test_who_is_cancelled_from_outside_stops_at_once() -> None:
    begun = asyncio.Event()

    async def endless(_: Outcome) -> None:
        begun.set()
        await asyncio.Event().wait()

    async def main() -> None:
        task = asyncio.create_task(carry_out([act("a", run=endless, finishes=True)], FakeTransport(), silent))
        await begun.wait()
        task.cancel()
        await task

    with pytest.raises(asyncio.CancelledError):
        asyncio.run(main())


class Watched:
    """Acts with checks around them; those in ``unwell`` don't hold."""

    def __init__(self, *unwell: str) -> None:
        self.unwell = unwell
        self.log: list[str] = []

    def check(self, moment: str) -> tuple[Check, ...]:
        async def probe(_: Reach) -> str:
            self.log.append(moment)
            if moment in self.unwell:
                raise NotYet("nothing answers")
            return "well"

        return (Check("well", "it is well", 0.01, "look at it", probe),)

    def act(self, name: str, *needs: str, changes: bool = True) -> Act:
        async def run(outcome: Outcome) -> None:
            self.log.append(name)
            outcome.changed = changes

        before, after = self.check(f"before {name}"), lambda: self.check(f"after {name}")
        return Act(name, name, "work", run, needs, before, after, self.check("at first"))


def test_what_must_hold_around_an_act_is_asked() -> None:
    world = Watched()
    done(world.act("a"), world.act("b", "a", changes=False))
    assert world.log == ["at first", "before a", "a", "after a", "before b", "b"]


def test_what_was_broken_before_is_held_against_nobody_until_it_was_seen_to_hold(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("groundplane.rollout.act.PATIENCE", 0)
    world, told = Watched("at first", "after a"), list[Event]()
    done(world.act("a"), world.act("b", "a"), emit=told.append)
    assert world.log == ["at first", "before a", "a", "after a", "before b", "b", "after b"]
    assert [event.note for event in told if isinstance(event, Noticed)] == ["judged only when they hold again: well"]

    world = Watched("at first", "after b")
    with pytest.raises(ExceptionGroup):
        done(world.act("a"), world.act("b", "a"))
    assert world.log[:7] == ["at first", "before a", "a", "after a", "before b", "b", "after b"]


def test_what_was_broken_is_looked_at_though_an_act_that_nobody_judges_came_before(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A worker is removed, and only then the first balancer forgets a control plane that the others still have."""
    monkeypatch.setattr("groundplane.rollout.act.PATIENCE", 0)
    world = Watched("at first", "after a")

    async def remove(outcome: Outcome) -> None:
        outcome.changed = True

    done(Act("removal", "removal", "work", remove), world.act("a", "removal"), world.act("b", "a"))
    assert world.log == ["at first", "before a", "a", "after a", "before b", "b", "after b"]


def test_two_acts_at_once_excuse_nothing_that_one_of_them_saw_hold(virtual_time: Callable[..., bool]) -> None:
    """One looks at both checks while the other, which began earlier, still waits for its own."""
    looks = {"one": 0, "two": 0}

    def check(name: str, *, broken: int, takes: float = 0) -> Check:
        async def probe(_: Reach) -> str:
            looks[name] += 1
            if looks[name] <= broken:
                raise NotYet("not yet")
            await asyncio.sleep(takes)
            return "well"

        return Check(name, name, 60, "look at it", probe)

    async def run(outcome: Outcome) -> None:
        outcome.changed = True

    one, two = check("one", broken=1), check("two", broken=1, takes=5)
    acts = [
        Act("a", "a", "work", run, after=lambda: (two,), judged=(one, two)),
        Act("b", "b", "work", run, after=lambda: (one,), judged=(one, two)),
        Act("c", "c", "work", run, ("a", "b"), after=lambda: (one, two), judged=(one, two)),
    ]
    told = list[Event]()
    assert virtual_time(carry_out(acts, FakeTransport(), told.append))
    judged = [event.subject for event in told if isinstance(event, Finished) and event.subject == "verify"]
    assert len(judged) == 2, "for c both count"


@pytest.mark.parametrize(
    ("unwell", "words", "ran"),
    [("before a", "must not be worked on now", False), ("after a", "is not well after its changes", True)],
)
def test_an_act_whose_checks_do_not_hold_is_the_end(unwell: str, words: str, ran: bool) -> None:
    world = Watched(unwell)
    with pytest.raises(ExceptionGroup) as caught:
        done(world.act("a"), world.act("b", "a"))
    (error,) = caught.value.exceptions
    assert isinstance(error, ApplyError)
    assert words in error.what
    assert error.where == "a"
    assert "nothing answers" in error.detail
    assert "look at it" in error.hint
    assert ("a" in world.log) is ran
    assert "b" not in world.log


def test_an_error_of_ours_is_never_taken_for_a_machines() -> None:
    async def broken(_: Outcome) -> None:
        raise ZeroDivisionError

    with pytest.raises(ExceptionGroup) as caught:
        done(act("a", run=broken))
    assert isinstance(caught.value.exceptions[0], ZeroDivisionError)
