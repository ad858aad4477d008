"""A Step probes, acts, probes again."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Sequence

import pytest

from groundplane.errors import StepError
from groundplane.rollout.steps import make_hold
from groundplane.state import Completed, Reach, Step


class Nobody:
    async def run(
        self, machine: str, argv: Sequence[str], *, stdin: bytes = b"", timeout: float = 60, check: bool = True
    ) -> Completed:
        raise AssertionError("no machine is to be touched here")


def step(probes: list[bool], acts: list[str], deadline: float = 5) -> Step:
    async def probe(reach: Reach) -> bool:
        return probes.pop(0)

    async def act(reach: Reach) -> None:
        acts.append("act")
        if deadline < 1:
            await asyncio.Event().wait()

    return Step("do:x", "m1", "why", probe, act, needs=("a",), needs_machines=("m1",), deadline=deadline)


def test_a_step_that_holds_does_nothing() -> None:
    acts: list[str] = []
    assert asyncio.run(make_hold(step([True], acts), Nobody())) is False
    assert acts == []


def test_a_step_acts_and_is_probed_again() -> None:
    acts: list[str] = []
    assert asyncio.run(make_hold(step([False, True], acts), Nobody())) is True
    assert acts == ["act"]


def test_a_step_that_does_not_take_hold_is_an_error() -> None:
    with pytest.raises(StepError, match="does not hold"):
        asyncio.run(make_hold(step([False, False], []), Nobody(), settle=0.01))


def test_an_effect_may_show_a_little_later(virtual_time: Callable[[Coroutine[None, None, bool]], bool]) -> None:
    assert virtual_time(make_hold(step([False, False, True], [], deadline=60), Nobody())) is True


def test_a_step_has_a_deadline() -> None:
    with pytest.raises(StepError, match="did not end within"):
        asyncio.run(make_hold(step([False], [], deadline=0.01), Nobody()))
