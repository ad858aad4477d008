"""One answer for many askers: steps and checks of a thousand nodes ask the cluster once, not a thousand times."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

from groundplane.state.step import Reach

T = TypeVar("T")


class Shared(Generic[T]):
    """Runs ``ask`` for whoever awaits it, sharing one run among all who may.

    Whoever asks gets what was asked for after they came, so an act's own effect is always seen: those who come
    while a run is under way share the next one. With ``running_too`` they share the one under way instead.
    """

    def __init__(self, ask: Callable[[Reach], Awaitable[T]], *, running_too: bool = False) -> None:
        self._ask = ask
        self._running_too = running_too
        self._running: asyncio.Task[T] | None = None
        self._next: asyncio.Task[T] | None = None

    async def __call__(self, reach: Reach) -> T:
        shared = self._alive(self._next)
        if shared is None:
            running = self._alive(self._running)
            if running is not None and self._running_too:
                return await asyncio.shield(running)
            shared = self._next = asyncio.create_task(self._run(reach, running))
        return await asyncio.shield(shared)

    async def _run(self, reach: Reach, before: asyncio.Task[T] | None) -> T:
        if before is not None:
            await asyncio.wait([before])
        # Probes that begin together ask together: whoever comes before the run begins shares it.
        await asyncio.sleep(0)
        self._running, self._next = self._next, None
        return await self._ask(reach)

    @staticmethod
    def _alive(task: asyncio.Task[T] | None) -> asyncio.Task[T] | None:
        """``task`` if it still runs, and in this event loop."""
        if task is None or task.done() or task.get_loop() is not asyncio.get_running_loop():
            return None
        return task
