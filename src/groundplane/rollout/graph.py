"""Runs jobs as soon as what they need is done. The first failure stops what hasn't begun; every failure is kept."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter

from groundplane.errors import StateError
from groundplane.events import Emit, Outcome, Planned, reported


@dataclass(frozen=True, slots=True)
class Job:
    """One piece of work. ``run`` returns whether it changed anything; ``subject`` and ``step`` are what users see."""

    name: str
    subject: str
    step: str
    run: Callable[[Outcome], Awaitable[None]]
    needs: tuple[str, ...] = ()


def in_order(jobs: Sequence[Job]) -> tuple[Job, ...]:
    """Sort ``jobs`` so that each comes after what it needs; StateError for an unknown need, a double or a cycle."""
    by_name = {job.name: job for job in jobs}
    if len(by_name) != len(jobs):
        raise StateError("two jobs bear the same name", detail=", ".join(sorted(job.name for job in jobs)))
    for job in jobs:
        if missing := [need for need in job.needs if need not in by_name]:
            raise StateError(f"{job.name} needs {', '.join(missing)}, which nobody does")
    try:
        order = TopologicalSorter({job.name: job.needs for job in jobs}).static_order()
        return tuple(by_name[name] for name in order)
    except CycleError as cycle:
        raise StateError("jobs need each other in a circle", detail=" → ".join(cycle.args[1])) from cycle


async def run_jobs(jobs: Sequence[Job], emit: Emit) -> bool:
    """Run all ``jobs``, concurrently where their needs allow; return whether any of them changed something.

    Raises an ExceptionGroup of the failures. Work under way when the first one happens is cancelled.
    """
    ordered = in_order(jobs)
    emit(Planned("platform", "jobs", steps=tuple((job.subject, job.step) for job in ordered)))
    done = {job.name: asyncio.Event() for job in ordered}
    changed = False

    async def work(job: Job) -> None:
        nonlocal changed
        for need in job.needs:
            await done[need].wait()
        with reported(emit, job.subject, job.step) as outcome:
            await job.run(outcome)
        changed = changed or outcome.changed
        done[job.name].set()

    async with asyncio.TaskGroup() as group:
        for job in ordered:
            group.create_task(work(job), name=job.name)
    return changed
