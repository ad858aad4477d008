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
        running = self._alive(self._running)
        if running is None:
            self._running = asyncio.create_task(self._run(reach))
            return await asyncio.shield(self._running)
        if self._running_too:
            return await asyncio.shield(running)
        following = self._alive(self._next)
        if following is None:
            following = self._next = asyncio.create_task(self._after(running, reach))
        return await asyncio.shield(following)

    async def _run(self, reach: Reach) -> T:
        return await self._ask(reach)

    async def _after(self, running: asyncio.Task[T], reach: Reach) -> T:
        await asyncio.wait([running])
        self._running, self._next = self._next, None
        return await self._ask(reach)

    @staticmethod
    def _alive(task: asyncio.Task[T] | None) -> asyncio.Task[T] | None:
        """``task`` if it still runs, and in this event loop."""
        if task is None or task.done() or task.get_loop() is not asyncio.get_running_loop():
            return None
        return task
