"""Unit and golden tests touch nothing but files: no processes, no network, no waiting.

The ban sits in an audit hook (https://docs.python.org/3/library/audit_events.html), so it holds however a function
was imported, and it raises a BaseException, which no broad ``except Exception`` in the code under test can swallow.
Tests under tests/lab and tests marked ``lab`` are exempt.
"""

from __future__ import annotations

import asyncio
import selectors
import sys
import time
from collections.abc import Callable, Coroutine, Iterator
from typing import Any, TypeVar

import pytest
from hypothesis import settings

T = TypeVar("T")

# The same examples everywhere, and no example fails for a busy computer.
settings.register_profile("steady", derandomize=True, deadline=None)
settings.load_profile("steady")

BANNED = (
    "os.exec",
    "os.fork",
    "os.forkpty",
    "os.posix_spawn",
    "os.spawn",
    "os.system",
    "pty.spawn",
    "socket.bind",
    "socket.connect",
    "socket.getaddrinfo",
    "socket.gethostbyaddr",
    "socket.gethostbyname",
    "socket.sendmsg",
    "socket.sendto",
    "subprocess.Popen",
)
LONGEST_WAIT = 0.2
"""Seconds an ``asyncio.sleep`` may really last before it is banned; ``virtual_time`` waits any time for nothing."""


class Forbidden(BaseException):
    """A unit test did what only lab tests may do."""


_enforced = False


def _watch(event: str, args: tuple[object, ...]) -> None:
    if _enforced and event in BANNED:
        raise Forbidden(f"{event} is banned in unit and golden tests: {args!r}")


sys.addaudithook(_watch)


class VirtualLoop(asyncio.SelectorEventLoop):
    """An event loop whose clock jumps to the next timer instead of waiting for it."""

    def __init__(self) -> None:
        super().__init__(_NeverWaiting(self))
        self.now = 0.0

    def time(self) -> float:
        return self.now


class _NeverWaiting(selectors.DefaultSelector):
    def __init__(self, loop: VirtualLoop) -> None:
        super().__init__()
        self._loop = loop

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        ready: list[tuple[selectors.SelectorKey, int]] = super().select(0)
        if not ready and timeout is None:
            raise Forbidden("nothing is left that could wake this test up")
        if not ready and timeout:
            self._loop.now += timeout
        return ready


@pytest.fixture(autouse=True)
def _only_files(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    global _enforced
    if request.node.get_closest_marker("lab") or "lab" in request.node.path.relative_to(request.config.rootpath).parts:
        yield
        return

    def no_sleep(seconds: float) -> None:
        raise Forbidden(f"time.sleep({seconds}) is banned in unit and golden tests")

    monkeypatch.setattr(time, "sleep", no_sleep)  # before Python 3.13 there is no audit event for it
    real_sleep = asyncio.sleep

    async def short_sleep(delay: float, result: Any = None) -> Any:
        if delay <= LONGEST_WAIT or isinstance(asyncio.get_running_loop(), VirtualLoop):
            return await real_sleep(delay, result)
        await real_sleep(LONGEST_WAIT)  # whoever awaits it may have a shorter deadline of its own
        raise Forbidden(f"asyncio.sleep({delay}) is banned in unit and golden tests: use the virtual_time fixture")

    monkeypatch.setattr(asyncio, "sleep", short_sleep)
    _enforced = True
    try:
        yield
    finally:
        _enforced = False


@pytest.fixture
def virtual_time() -> Callable[[Coroutine[Any, Any, T]], T]:
    """Runs a coroutine to its end on a clock that jumps: an hour of waiting takes no time.

    As ``virtual_time(wait_until(...))``. ``asyncio.get_running_loop().time()`` tells the virtual seconds passed.
    """

    def run(main: Coroutine[Any, Any, T]) -> T:
        with asyncio.Runner(loop_factory=VirtualLoop) as runner:
            return runner.run(main)

    return run
