"""One connection per machine, opened when it is first needed, shared by every command, opened anew when it was lost."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from contextlib import suppress
from typing import Final

from groundplane.errors import TransportError
from groundplane.transport.ssh_errors import explained, foreign, late
from groundplane.transport.ssh_library import Connection, Open
from groundplane.transport.target import Target

CLOSING: Final = 5.0
"""Seconds for a connection to say goodbye."""


class Connections:
    """Connections by machine. ``at_once`` bounds how many are being opened at the same time: each costs a
    millisecond or two of processor time at both ends, and a machine that is off keeps its place until ``patience``
    seconds are over. Belongs to one event loop.
    """

    def __init__(self, targets: Mapping[str, Target], open: Open, *, at_once: int, patience: float) -> None:
        self._targets = targets
        self._open = open
        self._patience = patience
        self._turns = asyncio.Semaphore(at_once)
        self._opened: dict[str, Connection] = {}
        self._opening: dict[str, asyncio.Task[Connection]] = {}

    def target(self, machine: str) -> Target:
        """How the machine is reached; TransportError where nobody said."""
        try:
            return self._targets[machine]
        except KeyError:
            raise TransportError("nobody said how it is reached over SSH", where=machine) from None

    async def to(self, machine: str) -> Connection:
        """The machine's connection. All who ask while it is being opened share the one attempt and its outcome."""
        known = self._opened.get(machine)
        if known is not None and not known.is_closed():
            return known
        if machine not in self._opening:
            task = asyncio.create_task(self._connect(machine, self.target(machine)))
            task.add_done_callback(lambda _: self._opening.pop(machine, None))
            self._opening[machine] = task
        # One who gives up waiting takes nothing from the others.
        return await asyncio.shield(self._opening[machine])

    def drop(self, machine: str) -> None:
        """Trust the machine's connection no more: the next one who asks gets another."""
        if (connection := self._opened.pop(machine, None)) is not None:
            connection.close()

    async def aclose(self) -> None:
        """Close every connection and give up those being opened. What is asked for afterwards is opened anew."""
        attempts, opened = list(self._opening.values()), list(self._opened.values())
        for attempt in attempts:
            attempt.cancel()
        await asyncio.gather(*attempts, return_exceptions=True)
        self._opened.clear()
        for connection in opened:
            connection.close()
        with suppress(TimeoutError, *foreign()):
            async with asyncio.timeout(CLOSING):
                await asyncio.gather(*(connection.wait_closed() for connection in opened))

    async def _connect(self, machine: str, target: Target) -> Connection:
        async with self._turns:
            try:
                async with asyncio.timeout(self._patience):
                    connection = await self._open(target)
            except TimeoutError as error:
                raise late(machine, target, self._patience) from error
            except foreign() as error:
                raise explained(error, machine, target) from error
        self._opened[machine] = connection
        return connection
