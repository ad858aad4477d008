"""Runs checks and reports what was seen."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from time import monotonic

from groundplane.errors import ConditionTimeout, GroundplaneError, StepError, TransportError
from groundplane.events import Emit, Planned, reported, silent
from groundplane.state.step import Reach
from groundplane.verify.check import Check
from groundplane.verify.condition import NotYet, wait_until


@dataclass(frozen=True, slots=True)
class Result:
    """How one check ended: ``seen`` is what was found, ``remedy`` what to do where it is not ``ok``.

    ``asked``: False where it isn't ``ok`` because a check it needs isn't; then ``seen`` names that one.
    """

    name: str
    title: str
    ok: bool
    seen: str
    seconds: float
    remedy: str = ""
    asked: bool = True


@dataclass(frozen=True, slots=True)
class Report:
    """All results, in the order of the checks. ``changed``: whether the run before it changed the platform."""

    results: tuple[Result, ...]
    changed: bool = False

    @property
    def ok(self) -> bool:
        return all(result.ok for result in self.results)

    @property
    def broken(self) -> tuple[Result, ...]:
        """The findings: what does not hold for a cause of its own."""
        return tuple(result for result in self.results if not result.ok and result.asked)

    @property
    def fault(self) -> str:
        """Which checks failed, in words for the journal; empty where none did."""
        return ", ".join(f"{result.name} failed" for result in self.broken)


async def run_checks(checks: Sequence[Check], reach: Reach, emit: Emit, *, at_once: int = 16) -> Report:
    """Run ``checks``, many at a time, each to its deadline. A failing check is a result, not an exception.

    Checks that share one look at the cluster should run together, so ``at_once`` is more than the processors.
    """
    emit(Planned("verify", "checks", steps=tuple(("verify", check.name) for check in checks)))
    gate = asyncio.Semaphore(at_once)

    async def guarded(check: Check) -> Result:
        async with gate:
            return await _run(check, reach, emit)

    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(guarded(check), name=check.name) for check in checks]
    results = {check.name: task.result() for check, task in zip(checks, tasks, strict=True)}
    needs = {check.name: check.needs for check in checks}
    return Report(tuple(_judged(result, needs, results) for result in results.values()))


async def broken_now(checks: Sequence[Check], reach: Reach, *, patience: float = 0) -> frozenset[str]:
    """The names of those of ``checks`` that don't hold now, nor come to hold within ``patience`` seconds. Nobody is
    told of them."""
    asked = [
        replace(check, deadline=patience) if patience else replace(check, probe=partial(_once, check))
        for check in checks
    ]
    report = await run_checks(asked, reach, silent)
    return frozenset(result.name for result in report.results if not result.ok)


async def _once(check: Check, reach: Reach) -> str:
    try:
        return await check.probe(reach)
    except (NotYet, StepError, TransportError) as reason:  # what a wait would try again
        raise ConditionTimeout(check.title, detail=str(reason)) from reason


def _judged(result: Result, needs: Mapping[str, Sequence[str]], results: Mapping[str, Result]) -> Result:
    """``result``, or that it was not asked where one it needs does not hold. All were tried at once nevertheless: a
    check that holds costs nothing, and the look they share is taken once."""
    if result.ok or not (causes := _causes(result.name, needs, results)):
        return result
    verb = "does" if len(causes) == 1 else "do"
    return replace(result, seen=f"not asked: {', '.join(causes)} {verb} not hold", remedy="", asked=False)


def _causes(name: str, needs: Mapping[str, Sequence[str]], results: Mapping[str, Result]) -> tuple[str, ...]:
    """The checks at the root of it: those among all that ``name`` needs which fail and need none that fails."""
    roots: list[str] = []
    for need in needs[name]:
        if need in results and not results[need].ok:
            roots += _causes(need, needs, results) or (need,)
    return tuple(dict.fromkeys(roots))


async def _run(check: Check, reach: Reach, emit: Emit) -> Result:
    begin = monotonic()
    seen, remedy = "", check.remedy

    async def probe() -> None:
        nonlocal seen, remedy
        try:
            seen = await check.probe(reach)
        except NotYet as reason:
            remedy = reason.remedy or check.remedy
            raise

    try:
        with reported(emit, "verify", check.name, changed=False) as outcome:
            await wait_until(check.title, probe, deadline=check.deadline)
            outcome.note = seen
    except (GroundplaneError, NotYet) as error:
        detail = error.detail if isinstance(error, ConditionTimeout) else str(error)
        return Result(check.name, check.title, False, detail, monotonic() - begin, remedy)
    except (LookupError, ValueError, TypeError, RuntimeError) as error:
        # An answer of a shape nobody foresaw concerns this check alone: the others' results are still worth having.
        detail = f"the answer can't be read: {type(error).__name__}: {error}"
        return Result(check.name, check.title, False, detail, monotonic() - begin, check.remedy)
    return Result(check.name, check.title, True, seen, monotonic() - begin)
