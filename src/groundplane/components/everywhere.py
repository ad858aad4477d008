"""Asking many machines at once, for checks: every machine is asked, and every objection is kept."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable

from groundplane.errors import TransportError
from groundplane.topology.model import Machine
from groundplane.verify.condition import NotYet

_SHOWN = 4


async def everywhere(machines: Iterable[Machine], ask: Callable[[Machine], Awaitable[None]]) -> int:
    """Call ``ask`` for all machines at once and return how many there were.

    An ``ask`` objects with ``NotYet`` or fails with a ``TransportError``; the objections of all machines become one
    ``NotYet``. Any other exception comes through.
    """

    async def objection(machine: Machine) -> str:
        try:
            await ask(machine)
        except (NotYet, TransportError) as reason:
            said = str(reason)
            return said if said.startswith(machine.name) else f"{machine.name}: {said}"
        return ""

    answers = await asyncio.gather(*(objection(machine) for machine in machines))
    objections = [answer for answer in answers if answer]
    if objections:
        raise NotYet(some(objections, separator="; "))
    return len(answers)


def some(words: Iterable[str], separator: str = ", ") -> str:
    """The first few of ``words``, and how many more there are."""
    known = list(words)
    rest = len(known) - _SHOWN
    return separator.join(known[:_SHOWN]) + (f" and {rest} more" if rest > 0 else "")
