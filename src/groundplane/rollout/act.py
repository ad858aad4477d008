"""One kind of work: an act, with what must be done before it, what must hold around it, and what it does.

Acts run as soon as what they need is done. The first failure stops what hasn't begun; every failure is kept.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter
from typing import Final

from groundplane.errors import ApplyError, GroundplaneError, StateError
from groundplane.events import Emit, Noticed, Outcome, Planned, reported
from groundplane.state.step import Reach
from groundplane.verify.check import Check
from groundplane.verify.report import broken_now, run_checks

PATIENCE: Final = 10.0
"""Seconds after which what was broken before and is still so after an act wasn't mended by that one."""


@dataclass(frozen=True, slots=True)
class Act:
    """One piece of work.

    ``name`` is unique; ``machine`` and ``step`` are what users see. ``carry_out`` looks first, does what has to be
    done, and tells the Outcome whether anything had to be. ``before`` must hold when it begins, and ``after`` when it
    has changed something: it is done only then. ``judged`` is what ``after`` is to name: what of it doesn't hold
    before the first of all acts that are judged begins, is held against none of them until it was seen to hold, for
    what broke it may be what another act is there to mend. One that ``finishes`` is brought to its end once it has
    begun, even where another act fails meanwhile.
    """

    name: str
    machine: str
    step: str
    carry_out: Callable[[Outcome], Awaitable[None]]
    needs: tuple[str, ...] = ()
    before: tuple[Check, ...] = ()
    after: Callable[[], Sequence[Check]] = tuple
    judged: tuple[Check, ...] = ()
    finishes: bool = False


def in_order(acts: Sequence[Act]) -> tuple[Act, ...]:
    """Sort ``acts`` so that each comes after what it needs; StateError for an unknown need, a double or a cycle."""
    by_name = {act.name: act for act in acts}
    if len(by_name) != len(acts):
        raise StateError("two acts bear the same name", detail=", ".join(sorted(act.name for act in acts)))
    for act in acts:
        if missing := [need for need in act.needs if need not in by_name]:
            raise StateError(f"{act.name} needs {', '.join(missing)}, which nobody does")
    try:
        order = TopologicalSorter({act.name: act.needs for act in acts}).static_order()
        return tuple(by_name[name] for name in order)
    except CycleError as cycle:
        raise StateError("acts need each other in a circle", detail=" → ".join(cycle.args[1])) from cycle


async def carry_out(acts: Sequence[Act], reach: Reach, emit: Emit) -> bool:
    """Carry all ``acts`` out, at once where their needs allow; return whether any of them changed something.

    Raises an ExceptionGroup of the failures, each telling which machines were done and which are untouched. Work under
    way when the first one happens is cancelled, but for acts that finish.
    """
    run = _Run(in_order(acts), reach, emit)
    emit(Planned("platform", "acts", steps=tuple((act.machine, act.step) for act in run.acts)))
    tasks = {asyncio.create_task(run.work(act), name=act.name): act for act in run.acts}
    try:
        if tasks:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_EXCEPTION)
        for task, act in tasks.items():
            if not (act.finishes and act.name in run.begun):
                task.cancel()
        outcomes = await asyncio.gather(*tasks, return_exceptions=True)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    failures = [
        outcome
        for outcome in outcomes
        if isinstance(outcome, BaseException) and not isinstance(outcome, asyncio.CancelledError)
    ]
    if failures:
        raise BaseExceptionGroup("not everything could be carried out", failures)
    return run.changed


class _Run:
    """How far a run has come."""

    def __init__(self, acts: tuple[Act, ...], reach: Reach, emit: Emit) -> None:
        self.acts = acts
        self.changed = False
        self._looked = False
        self._looking = asyncio.Lock()
        self._broken = frozenset[str]()  # before the first act that is judged, and not seen to hold since
        self._reach = reach
        self._emit = emit
        self._done = {act.name: asyncio.Event() for act in acts}
        self.begun: set[str] = set()

    async def work(self, act: Act) -> None:
        for need in act.needs:
            await self._done[need].wait()
        self.begun.add(act.name)
        try:
            if act.judged:
                await self._look_first()
            await self._hold(act.before, act, "must not be worked on now")
            changed = await self._act(act)
            if changed:
                await self._judge(act.after(), act)
        except GroundplaneError as failure:
            failure.detail = "\n".join(filter(None, (failure.detail, self._words(act))))
            raise
        self.changed = self.changed or changed
        self._done[act.name].set()

    async def _act(self, act: Act) -> bool:
        with reported(self._emit, act.machine, act.step) as outcome:
            await act.carry_out(outcome)
        return outcome.changed

    async def _look_first(self) -> None:
        async with self._looking:
            if not self._looked:
                checks = {check.name: check for act in self.acts for check in act.judged}
                self._broken = await broken_now(tuple(checks.values()), self._reach)
                self._looked = True
                if self._broken:
                    names = ", ".join(sorted(self._broken))
                    self._emit(Noticed("platform", "checks", note=f"judged only when they hold again: {names}"))

    async def _judge(self, checks: Sequence[Check], act: Act) -> None:
        broken = self._broken
        await self._hold([check for check in checks if check.name not in broken], act, "is not well after its changes")
        again = [check for check in checks if check.name in broken]
        still = await broken_now(again, self._reach, patience=PATIENCE)
        self._broken -= {check.name for check in again} - still

    async def _hold(self, checks: Sequence[Check], act: Act, problem: str) -> None:
        report = await run_checks(checks, self._reach, self._emit)
        broken = report.broken
        if broken:
            raise ApplyError(
                f"{problem}: {broken[0].title}: not so",
                where=act.machine,
                hint=f"{broken[0].remedy}; then run the same command again: it goes on from here",
                detail="\n".join(f"{result.name}: {result.seen}" for result in broken),
            )

    def _words(self, failed: Act) -> str:
        """Which of the acts that change machines are done, and which haven't begun."""
        shown = [act for act in self.acts if act.finishes and act is not failed]
        if not shown:
            return ""
        done = [act.machine for act in shown if self._done[act.name].is_set()]
        left = [act.machine for act in shown if act.name not in self.begun]
        return f"done: {', '.join(done) or 'nothing'}\nuntouched: {', '.join(left) or 'nothing'}"
