"""The ban on processes, network and waiting bites, and can't be swallowed."""

from __future__ import annotations

import asyncio
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Coroutine
from typing import Any

import pytest


def spawn() -> None:
    subprocess.run([sys.executable, "-c", "pass"], check=True)


def dial() -> None:
    with socket.socket() as door:
        door.connect(("127.0.0.1", 9))


def listen() -> None:
    with socket.socket() as door:
        door.bind(("127.0.0.1", 0))


def wait_async() -> None:
    asyncio.run(asyncio.sleep(1))


@pytest.mark.parametrize("act", [spawn, dial, listen, wait_async, lambda: os.system("true"), lambda: time.sleep(0.01)])
def test_banned(act: Callable[[], object]) -> None:
    with pytest.raises(BaseException, match="banned in unit and golden tests") as caught:
        swallowed(act)
    assert not isinstance(caught.value, Exception)


def swallowed(act: Callable[[], object]) -> None:
    """What careless code does."""
    try:
        act()
    except Exception:
        pytest.fail("a broad handler swallowed the ban")


def test_virtual_time_waits_for_nothing(virtual_time: Callable[[Coroutine[Any, Any, float]], float]) -> None:
    async def long() -> float:
        await asyncio.sleep(3600)
        return asyncio.get_running_loop().time()

    begin = time.monotonic()
    assert virtual_time(long()) >= 3600
    assert time.monotonic() - begin < 5
