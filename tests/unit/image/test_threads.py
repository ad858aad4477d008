from __future__ import annotations

import asyncio
import threading

import pytest

from groundplane.image.threads import to_the_end


def test_cancelled_work_is_waited_for() -> None:
    began, may_end = threading.Event(), threading.Event()
    ended: list[bool] = []

    def work() -> None:
        began.set()
        ended.append(may_end.wait(5))

    async def main() -> None:
        task = asyncio.create_task(to_the_end(work))
        await asyncio.to_thread(began.wait, 5)
        task.cancel()
        await asyncio.sleep(0)
        assert not task.done()
        task.cancel()
        may_end.set()
        await task

    with pytest.raises(asyncio.CancelledError):
        asyncio.run(main())
    assert ended == [True]


def test_what_work_raises_is_raised() -> None:
    def work() -> None:
        raise OSError("full")

    with pytest.raises(OSError, match="full"):
        asyncio.run(to_the_end(work))
