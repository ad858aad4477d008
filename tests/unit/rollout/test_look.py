"""A look at the platform asks everybody once, and what can't be asked is part of what is seen."""

from __future__ import annotations

import asyncio

from groundplane.errors import ApplyError, StepError, Unreachable
from groundplane.rollout.look import look, not_holding
from groundplane.rollout.plan import Found, StepPlan
from groundplane.state.change import Action, Change, Findings, Kind
from groundplane.state.model import MachineState
from groundplane.state.step import Reach, Step
from groundplane.transport.fake import FakeTransport

EDIT = Change(Kind.FILE, "/etc/x", Action.CREATE, "it is missing")


def test_machines_are_asked_unless_they_are_off() -> None:
    asked: list[str] = []
    looked: list[str] = []

    async def observe(state: MachineState) -> Findings:
        asked.append(state.machine)
        match state.machine:
            case "gone":
                raise Unreachable("does not answer", where="gone", detail="one\nno route")
            case "old":
                raise ApplyError("Python is missing", where="old")
            case "edited":
                return Findings((EDIT,))
        return Findings()

    states = [MachineState(name) for name in ("fine", "edited", "gone", "old", "off", "absent")]
    assert asyncio.run(look(states, {"off", "absent"}, {"absent"}, observe, looked.append)) == {
        "fine": Found(),
        "edited": Found(Findings((EDIT,))),
        "gone": Found(problem="does not answer: no route"),
        "old": Found(problem="Python is missing"),
        "off": Found(off=True),
        "absent": Found(absent=True),
    }
    assert sorted(asked) == sorted(looked) == ["edited", "fine", "gone", "old"]


def step(name: str, holds: bool | Exception, *, needs_machines: tuple[str, ...] = ()) -> Step:
    async def probe(_: Reach) -> bool:
        if isinstance(holds, Exception):
            raise holds
        return holds

    async def act(_: Reach) -> None:
        raise AssertionError("looking must not act")

    async def instead(_: Reach) -> tuple[str, float | None]:
        return f"{name} is away", 7.0

    async def diff(_: Reach) -> str:
        return f"-{name}"

    return Step(name, "cp1", "because", probe, act, needs_machines=needs_machines, instead=instead, diff=diff)


def test_steps_that_do_not_hold_are_named_and_none_is_carried_out() -> None:
    steps = (
        step("holds", True),
        step("away", False),
        step("broken", StepError("no answer", detail="refused")),
        step("waiting", True, needs_machines=("cp9",)),
        step("waiting longer", True, needs_machines=("cp9", "cp8")),
    )
    assert asyncio.run(not_holding(steps, {"cp9", "cp8"}, FakeTransport())) == (
        StepPlan("away", "cp1", "because", "away is away", 7.0, "-away"),
        StepPlan("broken", "cp1", "because", "no answer: refused"),
        StepPlan("waiting", "cp1", "because", "cp9 is off", waits=("cp9",)),
        StepPlan("waiting longer", "cp1", "because", "cp8, cp9 are off", waits=("cp8", "cp9")),
    )
