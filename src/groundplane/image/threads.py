"""Blocking work beside the event loop that is never left behind half done."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


async def to_the_end(work: Callable[[], T]) -> T:
    """Run ``work`` in a thread. Cancelled, we still wait until it has ended: a thread can't be stopped, and what it
    goes on writing must not meet whoever cleans up after us."""
    thread = asyncio.ensure_future(asyncio.to_thread(work))
    try:
        return await asyncio.shield(thread)
    except asyncio.CancelledError:
        while not thread.done():
            try:
                await asyncio.wait({thread})
            except asyncio.CancelledError:
                continue  # told again; there is nothing else to do than to wait
        if not thread.cancelled():
            thread.exception()  # seen: the cancellation is what counts
        raise
