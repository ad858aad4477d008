"""Running the recipes' coroutines so that Ctrl-C and SIGTERM stop them in order."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Callable, Coroutine
from contextlib import suppress
from typing import Any, TypeVar

from groundplane.errors import Interrupted

T = TypeVar("T")


def run(main: Coroutine[Any, Any, T], *, tell: Callable[[str], None]) -> T:
    """Run ``main`` to its end. The first Ctrl-C or SIGTERM cancels it and lets it clean up; a second Ctrl-C ends it
    at once. Raises Interrupted then, whose cause is what went wrong meanwhile."""
    asked = False

    async def watched() -> T:
        loop, task = asyncio.get_running_loop(), asyncio.current_task()
        assert task is not None

        def stop() -> None:
            nonlocal asked
            if asked:
                return
            asked = True
            task.cancel()
            loop.remove_signal_handler(signal.SIGINT)  # back to Python's own: the next one raises at once
            with suppress(OSError):  # nobody may be reading any more
                tell("stopping; press Ctrl-C again to stop at once")

        _watch_by_descriptor()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, stop)
        try:
            return await main
        finally:
            for number in (signal.SIGINT, signal.SIGTERM):
                loop.remove_signal_handler(number)

    before = signal.getsignal(signal.SIGTERM)
    try:
        return asyncio.run(watched())
    except (Exception, asyncio.CancelledError) as error:
        if asked:
            raise Interrupted("interrupted") from error
        raise
    finally:
        signal.signal(signal.SIGTERM, before)  # asyncio leaves the system's default behind


def _watch_by_descriptor() -> None:
    """Have asyncio learn by pidfd_open(2) that a command has ended, as it does by itself from Python 3.12. Otherwise it
    starts a thread for each command, and everybody waits until that runs."""
    if sys.version_info < (3, 12):
        with suppress(OSError):  # an older kernel
            os.close(os.pidfd_open(os.getpid()))
            watcher = asyncio.PidfdChildWatcher()
            watcher.attach_loop(asyncio.get_running_loop())
            asyncio.get_event_loop_policy().set_child_watcher(watcher)
