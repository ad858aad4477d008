"""Named checks: what must hold on a healthy platform, how long it may take to, and what to do when it does not."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from groundplane.state.step import Reach

RECOVERY = 120.0
"""Seconds in which a platform whose machines were all switched on at once has come back, on a slow and busy computer.

A check that holds costs nothing of it. One that gives up sooner calls a platform broken that is only starting.
"""


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that must hold.

    ``probe`` returns a short line of what was seen when it holds and raises ``verify.condition.NotYet`` with
    what was seen instead when it does not; it is called again until ``deadline`` (seconds). It changes nothing
    on the platform but for probe pods it makes and removes itself. ``remedy`` tells what to do on failure; a NotYet
    may bring a better one that follows from what was seen.

    ``needs`` are the checks without which this one can't be asked: where it fails beside one of them, it is reported
    as not asked, for one cause is one finding. Those that aren't in the same run say nothing about it.
    ``overall``: it compares several machines with the file, so it can hold only when the last of them was changed, and
    isn't asked between them.
    """

    name: str
    title: str
    deadline: float
    remedy: str
    probe: Callable[[Reach], Awaitable[str]]
    needs: tuple[str, ...] = ()
    overall: bool = False
