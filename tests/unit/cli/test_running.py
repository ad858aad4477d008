"""Ctrl-C and SIGTERM stop a command in order; a second Ctrl-C at once."""

from __future__ import annotations

import asyncio
import os
import signal
import sys

import pytest

from groundplane.cli.running import run
from groundplane.errors import GroundplaneError, Interrupted


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_cancels_and_lets_clean_up(number: signal.Signals) -> None:
    said: list[str] = []
    cleaned: list[str] = []

    async def work() -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(inner())
            await asyncio.sleep(0)
            os.kill(os.getpid(), number)

    async def inner() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0)
            cleaned.append("inner")

    before = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)
    with pytest.raises(Interrupted):
        run(work(), tell=said.append)
    assert cleaned == ["inner"]
    assert len(said) == 1
    assert (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)) == before


def test_what_fails_while_stopping_is_kept() -> None:
    async def work() -> None:
        os.kill(os.getpid(), signal.SIGINT)
        try:
            await asyncio.Event().wait()
        finally:
            raise GroundplaneError("could not unmount")

    with pytest.raises(Interrupted) as caught:
        run(work(), tell=lambda _: None)
    assert isinstance(caught.value.__cause__, GroundplaneError)


def test_the_second_one_does_not_wait() -> None:
    async def stubborn() -> None:
        os.kill(os.getpid(), signal.SIGINT)
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            os.kill(os.getpid(), signal.SIGINT)
            await asyncio.Event().wait()

    with pytest.raises(KeyboardInterrupt):
        run(stubborn(), tell=lambda _: None)


def test_results_and_errors_come_through() -> None:
    async def good() -> int:
        return 5

    async def bad() -> int:
        raise GroundplaneError("no")

    assert run(good(), tell=pytest.fail) == 5
    with pytest.raises(GroundplaneError, match="no"):
        run(bad(), tell=pytest.fail)


@pytest.mark.skipif(sys.version_info >= (3, 12), reason="asyncio does so by itself")
def test_no_thread_is_started_for_a_command() -> None:
    async def watcher() -> bool:
        found = asyncio.get_event_loop_policy().get_child_watcher()
        return isinstance(found, asyncio.PidfdChildWatcher) and found.is_active()

    for _ in range(2):  # each run has a loop of its own
        assert run(watcher(), tell=print)
