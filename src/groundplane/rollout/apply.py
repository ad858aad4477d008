"""Carries a plan's machine changes out: batch by batch, and on to the next one only while the checks hold."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field

from groundplane.errors import ApplyError, GroundplaneError
from groundplane.events import Emit, Failed, Finished, reported
from groundplane.rollout.plan import MachinePlan, Plan
from groundplane.state.change import Done
from groundplane.state.step import Reach
from groundplane.verify.check import Check
from groundplane.verify.report import Report, run_checks

Bring = Callable[[str, Callable[[Done], None]], Awaitable[tuple[Done, ...]]]
"""Brings one machine to its desired state and tells of each change as it is done; raises a GroundplaneError."""


@dataclass(slots=True)
class Tally:
    """What an apply has done so far, for whoever is told of a failure: machine names, in order."""

    left: list[str]
    done: list[str] = field(default_factory=list)

    def words(self) -> str:
        return f"done: {', '.join(self.done) or 'nothing'}\nuntouched: {', '.join(self.left) or 'nothing'}"


@dataclass(frozen=True, slots=True)
class Watch:
    """The checks around work on one machine: ``before`` it that others carry on, ``after`` it that it does again."""

    before: Callable[[MachinePlan], Sequence[Check]]
    after: Callable[[MachinePlan], Sequence[Check]]


@dataclass(frozen=True, slots=True)
class Applied:
    """What an apply came to: the plan it carried out, how many changes that were, and the checks after it (None where
    nothing had to be done)."""

    plan: Plan
    changes: int = 0
    report: Report | None = None


def refuse(plan: Plan, agreed: Plan | None = None) -> None:
    """Raise ApplyError, before anything is touched, where ``plan`` can't be carried out: a machine can't be asked,
    a machine would refuse what it is given, or the plan isn't any more the one that was ``agreed`` to."""
    for machine in plan.machines:
        if machine.problem:
            raise ApplyError(
                f"it can't be asked: {machine.problem}",
                where=machine.machine,
                hint="nothing was touched; bring it back (`groundplane stop`, then `start`), and run this again",
            )
    for machine in plan.machines:
        for refused in machine.refused:
            raise ApplyError(
                f"{refused.change.key}: {refused.problem}",
                where=machine.machine,
                hint="; ".join(filter(None, (refused.hint, "nothing was touched, on this machine or any other"))),
                detail=refused.detail,
            )
    if agreed is not None and _essence(agreed) != _essence(plan):
        raise ApplyError("the platform has changed since this plan was shown", hint="nothing was touched; look again")


def _essence(plan: Plan) -> object:
    """What somebody agrees to: not when a difference began or what a Step sees meanwhile."""
    machines = [(m.machine, m.off, [(c.kind, c.key, c.action, c.diff) for c in m.changes]) for m in plan.machines]
    return machines, [step.name for step in plan.steps], plan.edits


async def apply_changes(plan: Plan, bring: Bring, watch: Watch, reach: Reach, emit: Emit) -> int:
    """Bring every machine of ``plan`` to its state; return how many changes were made.

    Raises ApplyError at the first machine that could not be brought there or whose checks don't hold after it; what
    is done and what is untouched is in its detail. Machines of the same batch are brought to an end first.
    """
    tally = Tally(left=[machine.machine for machine in plan.machines])
    count = 0
    for batch in plan.batches:
        for machine in batch:
            if machine.interruptions:
                await _hold(watch.before(machine), machine.machine, "must not be worked on now", tally, reach, emit)
        count += sum(await _bring_all(batch, bring, tally, emit))
        for machine in batch:
            await _hold(watch.after(machine), machine.machine, "is not well after its changes", tally, reach, emit)
    return count


async def _bring_all(batch: Sequence[MachinePlan], bring: Bring, tally: Tally, emit: Emit) -> list[int]:
    outcomes = await asyncio.gather(*(_bring(machine, bring, emit) for machine in batch), return_exceptions=True)
    for machine, outcome in zip(batch, outcomes, strict=True):
        tally.left.remove(machine.machine)
        if not isinstance(outcome, BaseException):
            tally.done.append(machine.machine)
    failures = [outcome for outcome in outcomes if isinstance(outcome, BaseException)]
    for failure in failures:
        if not isinstance(failure, GroundplaneError):
            raise failure
    if failures:
        raise _stopped(failures, tally)
    return [outcome for outcome in outcomes if isinstance(outcome, int)]


async def _bring(machine: MachinePlan, bring: Bring, emit: Emit) -> int:
    def told(done: Done) -> None:
        step = f"{done.change.kind.value} {done.change.key}"
        note = f"{done.change.action.value}: {done.change.why}"
        if done.problem:
            emit(Failed(machine.machine, step, seconds=done.seconds, error=f"{note}: {done.problem}"))
        else:
            emit(Finished(machine.machine, step, seconds=done.seconds, note=note))

    with reported(emit, machine.machine, "apply") as outcome:
        done = await bring(machine.machine, told)
        outcome.changed = bool(done)
        outcome.note = f"{len(done)} changes"
    return len(done)


async def _hold(checks: Sequence[Check], machine: str, problem: str, tally: Tally, reach: Reach, emit: Emit) -> None:
    report = await run_checks(checks, reach, emit)
    broken = [result for result in report.results if not result.ok]
    if broken:
        raise ApplyError(
            f"{problem}: {broken[0].title}: not so",
            where=machine,
            hint=f"{broken[0].remedy}; then run the same command again: it goes on from here",
            detail="\n".join([*(f"{result.name}: {result.seen}" for result in broken), tally.words()]),
        )


def _stopped(failures: Sequence[BaseException], tally: Tally) -> BaseException:
    """The failures, each with what is done and what isn't."""
    for failure in failures:
        if isinstance(failure, GroundplaneError):
            failure.detail = "\n".join(filter(None, (failure.detail, tally.words())))
    return failures[0] if len(failures) == 1 else BaseExceptionGroup("machines could not be changed", list(failures))
