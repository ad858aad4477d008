"""Looks at a whole platform at once: every machine through its agent, every Step through its probe. Pure reading."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection, Sequence

from groundplane.errors import ApplyError, GroundplaneError, StepError, TransportError
from groundplane.rollout.plan import Found, StepPlan
from groundplane.state.change import Findings
from groundplane.state.model import MachineState
from groundplane.state.step import Reach, Step

AT_ONCE = 64
"""How many machines are asked at a time: each takes a process or a channel here."""

Observe = Callable[[MachineState], Awaitable[Findings]]


def _nobody(_: str) -> None:
    """For callers who don't count."""


async def look(
    states: Sequence[MachineState],
    off: Collection[str],
    absent: Collection[str],
    observe: Observe,
    looked: Callable[[str], None] = _nobody,
) -> dict[str, Found]:
    """What is found on each machine. Those in ``off`` aren't asked, some of them being ``absent``; one that can't be
    asked though it is on is a result like others.

    ``looked`` is told each machine's name as soon as it is known what is found there.
    """
    gate = asyncio.Semaphore(AT_ONCE)

    async def one(state: MachineState) -> Found:
        if state.machine in off:
            return Found(absent=True) if state.machine in absent else Found(off=True)
        try:
            async with gate:
                found = Found(await observe(state))
        except (TransportError, ApplyError) as error:
            found = Found(problem=_words(error))
        looked(state.machine)
        return found

    found = await asyncio.gather(*(one(state) for state in states))
    return {state.machine: result for state, result in zip(states, found, strict=True)}


async def not_holding(
    steps: Sequence[Step], off: Collection[str], reach: Reach, *, nobody: bool = False
) -> tuple[StepPlan, ...]:
    """The Steps that would be carried out, in their order. One that needs a machine of ``off`` isn't asked, nor is any
    where ``nobody`` runs: it can't be until they do. A probe that fails doesn't hold, and says why."""

    async def one(step: Step) -> StepPlan | None:
        if waits := tuple(sorted(set(off) & {step.machine, *step.needs_machines})):
            be = "is" if len(waits) == 1 else "are"
            return StepPlan(step.name, step.machine, step.why, f"{', '.join(waits)} {be} off", waits=waits)
        if nobody:
            return StepPlan(step.name, step.machine, step.why, "no machine runs", waits=tuple(sorted(off)))
        try:
            if await step.probe(reach):
                return None
            seen, since = await step.instead(reach) if step.instead else ("", None)
            diff = await step.diff(reach) if step.diff else ""
        except (TransportError, StepError) as error:
            seen, since, diff = _words(error), None, ""
        return StepPlan(step.name, step.machine, step.why, seen, since, diff, restarts=step.restarts)

    found = await asyncio.gather(*(one(step) for step in steps))
    return tuple(step for step in found if step is not None)


def _words(error: GroundplaneError) -> str:
    last = error.detail.strip().splitlines()[-1:]
    return f"{error.what}: {last[0]}" if last else error.what
