"""Waiting, the one way it is done here: a named condition, a deadline, and the last thing seen."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from groundplane.errors import ConditionTimeout, StepError, TransportError


class NotYet(Exception):
    """Raised by a probe: it does not hold yet, and this is what was seen instead.

    ``remedy``: what to do about exactly that, where it is known; empty: what its check or its wait says.
    """

    def __init__(self, seen: str = "", *, remedy: str = "") -> None:
        super().__init__(seen)
        self.remedy = remedy


async def wait_until(
    name: str,
    probe: Callable[[], Awaitable[None]],
    *,
    deadline: float,
    every: float = 0.5,
    where: str = "",
    hint: str = "",
) -> None:
    """Call ``probe`` until it returns, at most ``deadline`` seconds.

    A probe raises ``NotYet`` while the condition does not hold. A ``TransportError`` or ``StepError`` counts as that:
    a cluster that is being built drops a connection now and then. Any other exception ends the wait at once.

    Raises ``ConditionTimeout`` whose ``detail`` is what was seen last.
    """
    seen, remedy = "nothing", ""
    try:
        async with asyncio.timeout(deadline):
            while True:
                try:
                    await probe()
                    return
                except (NotYet, StepError, TransportError) as reason:
                    seen = str(reason)
                    remedy = reason.remedy if isinstance(reason, NotYet) else ""
                await asyncio.sleep(every)
    except TimeoutError as late:
        raise ConditionTimeout(
            f"{name}: not within {deadline:.0f} s", where=where, hint=remedy or hint, detail=f"last seen: {seen}"
        ) from late
