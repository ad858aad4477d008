"""An apply goes on only while all is well, and says what is done and what isn't."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from groundplane.errors import ApplyError, Unreachable
from groundplane.events import Event, Failed, Finished
from groundplane.rollout.apply import Watch, apply_changes, refuse
from groundplane.rollout.plan import Interruption, MachinePlan, Plan, StepPlan
from groundplane.state.change import Action, Change, Done, Kind, Refused
from groundplane.state.step import Reach
from groundplane.transport.fake import FakeTransport
from groundplane.verify.check import Check
from groundplane.verify.condition import NotYet

EDIT = Change(Kind.FILE, "/etc/x", Action.UPDATE, "content differs", "-a\n+b\n", 5.0)
RESTART = Interruption("x.service", Action.RESTART, "everything")


def machine(name: str, *, interrupting: bool = False) -> MachinePlan:
    return MachinePlan(name, (EDIT,), interruptions=(RESTART,) if interrupting else ())


class World:
    """Machines that do as they are told, but those in ``broken``; checks of machines in ``unwell`` don't hold."""

    def __init__(self, *, broken: tuple[str, ...] = (), unwell: tuple[str, ...] = ()) -> None:
        self.broken = broken
        self.unwell = unwell
        self.log: list[str] = []
        self.events: list[Event] = []

    async def bring(self, name: str, told: Callable[[Done], None]) -> tuple[Done, ...]:
        self.log.append(f"bring {name}")
        await asyncio.sleep(0)
        if name in self.broken:
            told(Done(EDIT, 0.1, "no space left on device"))
            raise ApplyError("no space left on device", where=name, detail="ENOSPC")
        told(Done(EDIT, 0.1))
        return (Done(EDIT, 0.1),)

    def checks(self, moment: str) -> Callable[[MachinePlan], tuple[Check, ...]]:
        def of(plan: MachinePlan) -> tuple[Check, ...]:
            async def probe(_: Reach) -> str:
                self.log.append(f"{moment} {plan.machine}")
                if f"{moment} {plan.machine}" in self.unwell:
                    raise NotYet("nothing answers")
                return "well"

            return (Check("well", "it is well", 0.01, "look at it", probe),)

        return of

    def apply(self, *batches: tuple[MachinePlan, ...]) -> int:
        watch = Watch(before=self.checks("before"), after=self.checks("after"))
        return asyncio.run(apply_changes(Plan(batches), self.bring, watch, FakeTransport(), self.events.append))


def test_each_machine_is_checked_before_the_next_one_is_touched() -> None:
    world = World()
    assert world.apply((machine("a"),), (machine("b", interrupting=True),)) == 2
    assert world.log == ["bring a", "after a", "before b", "bring b", "after b"]


def test_each_change_is_told_once_for_the_journal() -> None:
    world = World()
    world.apply((machine("a"),))
    told = [event for event in world.events if isinstance(event, Finished) and event.step == "file /etc/x"]
    assert [(event.subject, event.note) for event in told] == [("a", "update: content differs")]


def test_the_first_failure_leaves_the_rest_untouched_and_says_so() -> None:
    world = World(broken=("b",))
    with pytest.raises(ApplyError, match="no space left") as caught:
        world.apply((machine("a"),), (machine("b"),), (machine("c"),))
    assert "done: a\nuntouched: c" in caught.value.detail
    assert "bring c" not in world.log
    assert any(isinstance(event, Failed) and event.step == "file /etc/x" for event in world.events)


def test_a_machine_that_is_not_well_afterwards_ends_it() -> None:
    world = World(unwell=("after a",))
    with pytest.raises(ApplyError, match="is not well after its changes") as caught:
        world.apply((machine("a"),), (machine("b"),))
    assert caught.value.where == "a"
    assert "nothing answers" in caught.value.detail
    assert "look at it" in caught.value.hint
    assert "bring b" not in world.log


def test_nothing_is_interrupted_while_nobody_can_carry_on() -> None:
    world = World(unwell=("before a",))
    with pytest.raises(ApplyError, match="must not be worked on now"):
        world.apply((machine("a", interrupting=True),))
    assert "bring a" not in world.log


def test_a_batch_is_brought_to_its_end_before_it_stops() -> None:
    world = World(broken=("a", "b"))
    with pytest.raises(BaseExceptionGroup) as caught:
        world.apply((machine("a"), machine("b"), machine("c")), (machine("d"),))
    assert len(caught.value.exceptions) == 2
    assert {"bring a", "bring b", "bring c"} <= set(world.log)
    assert "bring d" not in world.log


def test_what_cannot_be_carried_out_is_refused_before_anything_is_touched() -> None:
    refuse(Plan(((machine("a"),),)))
    with pytest.raises(ApplyError, match="cp1: it can't be asked: no answer"):
        refuse(Plan(((MachinePlan("cp1", problem="no answer"),),)))
    bad = Refused(EDIT, "haproxy refuses it", "mend it", "line 3: unknown keyword")
    with pytest.raises(ApplyError, match="haproxy refuses it") as caught:
        refuse(Plan(((machine("a"),), (MachinePlan("lb1", (EDIT,), (bad,)),))))
    assert caught.value.where == "lb1"
    assert "nothing was touched" in caught.value.hint
    assert "unknown keyword" in caught.value.detail


def test_only_what_was_agreed_to_is_carried_out() -> None:
    agreed = Plan(((machine("a"),),), (StepPlan("s", "cp1", "why", "seen"),))
    later = Change(Kind.FILE, "/etc/x", Action.UPDATE, "content differs", "-a\n+b\n", 9.0)
    refuse(Plan(((MachinePlan("a", (later,)),),), (StepPlan("s", "cp1", "why", "other"),)), agreed)
    with pytest.raises(ApplyError, match="has changed since"):
        refuse(Plan(((machine("a"),), (machine("b"),))), agreed)


def test_an_error_of_ours_is_never_taken_for_a_machines() -> None:
    async def bring(name: str, told: Callable[[Done], None]) -> tuple[Done, ...]:
        raise ZeroDivisionError

    watch = Watch(before=lambda _: (), after=lambda _: ())
    with pytest.raises(ZeroDivisionError):
        asyncio.run(apply_changes(Plan(((machine("a"),),)), bring, watch, FakeTransport(), lambda _: None))


def test_unreachable_machines_come_with_what_is_done() -> None:
    async def bring(name: str, told: Callable[[Done], None]) -> tuple[Done, ...]:
        raise Unreachable("it went away", where=name)

    watch = Watch(before=lambda _: (), after=lambda _: ())
    with pytest.raises(Unreachable) as caught:
        asyncio.run(apply_changes(Plan(((machine("a"),),)), bring, watch, FakeTransport(), lambda _: None))
    assert caught.value.detail == "done: nothing\nuntouched: nothing"
