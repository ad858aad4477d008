"""Carries a Step out: probe, act, probe again."""

from __future__ import annotations

import asyncio

from groundplane.errors import ConditionTimeout, StepError
from groundplane.state.step import Reach, Step
from groundplane.verify.condition import NotYet, wait_until

SETTLE = 30.0
"""Seconds after an act in which its effect may show: a cluster answers from caches that lag a little."""


async def make_hold(step: Step, reach: Reach, *, settle: float = SETTLE) -> bool:
    """Make ``step`` hold within its deadline; return False when it held already. Raises StepError."""

    try:
        async with asyncio.timeout(step.deadline):
            if await step.probe(reach):
                return False
            await step.act(reach)
            await _settled(step, reach, settle)
            return True
    except TimeoutError as late:
        raise StepError(
            f"{step.name} did not end within {step.deadline:.0f} s",
            where=step.machine,
            hint="run the same command again: it goes on from here",
        ) from late


async def _settled(step: Step, reach: Reach, seconds: float) -> None:
    async def holds() -> None:
        if not await step.probe(reach):
            raise NotYet("it does not hold")

    try:
        await wait_until(step.name, holds, deadline=seconds)
    except ConditionTimeout as never:
        raise StepError(
            f"{step.name} was carried out but does not hold",
            where=step.machine,
            hint="run the same command again; if it stays so, look at the machine's journal",
            detail=never.detail,
        ) from never
