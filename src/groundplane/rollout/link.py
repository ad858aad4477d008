"""Looks at machines and brings them to their desired state, by the agent on each.

One session and one round trip where the machine has the agent already; that it hasn't shows in the try that fails.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

from groundplane.errors import ApplyError, CommandFailed
from groundplane.rollout.agent import OLDEST_PYTHON, TOO_OLD, agent
from groundplane.state.change import AgentFailed, Change, Done, Ended, Findings, Refused, Wanted
from groundplane.state.model import MachineState
from groundplane.state.wire import Event, WireError, event_from_line, state_to_bytes
from groundplane.transport.base import Transport

LOOKING: Final = 120.0
"""Seconds a look at a machine may take; it takes a tenth of one."""

BRINGING: Final = 3600.0
"""Seconds until a machine must be as it should; installing packages over a slow line takes longest."""

_NOT_FOUND: Final = 127
_AGAIN: Final = "run the same command again: it goes on from where this ended"


def _untold(_: Done) -> None:
    return None


class AgentLink:
    """The operator's end of the agent, for all machines that ``transport`` reaches.

    ``software`` is the bundle's tree of programs, from which it delivers what a machine lacks. None: who only looks, or
    whose plan needs nothing of it (``Plan.needs_material``).
    """

    def __init__(self, transport: Transport, software: Path | None = None) -> None:
        self._transport = transport
        self._software = software

    async def observe(self, state: MachineState) -> Findings:
        """What differs on ``state.machine``, and what of that it refuses. Changes nothing but the agent itself.

        Raises ApplyError where the machine can't be looked at, and what the transport raises.
        """
        changes: list[Change] = []
        refused: list[Refused] = []
        async with aclosing(self._events(state, "observe", LOOKING)) as events:
            async for event in events:
                if isinstance(event, Change):
                    changes.append(event)
                elif isinstance(event, Refused):
                    refused.append(event)
        return Findings(tuple(changes), tuple(refused))

    async def bring(self, state: MachineState, told: Callable[[Done], None] = _untold) -> tuple[Done, ...]:
        """Bring ``state.machine`` to its state; every Change as it was carried out. ``told`` hears of each at once.

        Raises ApplyError, with the first problem as its reason and all of them in its detail, when a Change failed
        or was refused, and what the transport raises. Running it again goes on from there.
        """
        brought = await self._brought(state, told)
        if brought.wanted:
            await self._deliver(state.machine, brought.wanted)
            brought = await self._brought(state, told)
        if brought.wanted:
            raise ApplyError("what was delivered is gone again", where=state.machine, hint=_AGAIN)
        failed: list[Refused | Done] = [*brought.refused, *(each for each in brought.done if each.problem)]
        if failed:
            raise _unfinished(state.machine, failed)
        return brought.done

    async def _brought(self, state: MachineState, told: Callable[[Done], None]) -> _Brought:
        done: list[Done] = []
        refused: list[Refused] = []
        wanted: list[Wanted] = []
        async with aclosing(self._events(state, "apply", BRINGING)) as events:
            async for event in events:
                if isinstance(event, Done):
                    done.append(event)
                    told(event)
                elif isinstance(event, Refused):
                    refused.append(event)
                elif isinstance(event, Wanted):
                    wanted.append(event)
        return _Brought(tuple(done), tuple(refused), tuple(wanted))

    async def _deliver(self, machine: str, wanted: Sequence[Wanted]) -> None:
        """Put every program where the agent waits for it; ApplyError where there is nothing to take it from."""
        for one in wanted:
            source = self._software / one.path.lstrip("/") if self._software else None
            if source is None or not source.is_file():
                raise ApplyError(
                    f"{one.path} must be brought from the software bundle, which is not at hand",
                    where=machine,
                    hint="nothing was touched on this machine; get it with `groundplane bundle build`, then this again",
                )
            await self._transport.put(machine, one.place, source, digest=one.digest, mode=0o600)

    async def _events(
        self, state: MachineState, mode: Literal["observe", "apply"], timeout: float
    ) -> AsyncGenerator[Event, None]:
        """What the agent says, to its end; ApplyError if it failed as a whole or was cut off."""
        try:
            async for event in self._said(state, mode, timeout):
                yield event
        except _NoAgent:
            await self._send(state.machine)
            try:
                async for event in self._said(state, mode, timeout):
                    yield event
            except _NoAgent as lost:
                raise ApplyError("the agent was sent, and is gone again", where=state.machine) from lost

    async def _said(self, state: MachineState, mode: str, timeout: float) -> AsyncGenerator[Event, None]:
        command, request = agent().command(mode), state_to_bytes(state)
        ended = False
        try:
            async with aclosing(
                self._transport.stream(state.machine, command, stdin=request, timeout=timeout)
            ) as lines:
                async for line in lines:
                    event = event_from_line(line)
                    if isinstance(event, AgentFailed):
                        raise ApplyError(event.problem, where=state.machine, hint=event.hint, detail=event.detail)
                    ended = isinstance(event, Ended)
                    yield event
        except CommandFailed as error:
            raise _explained(error) from error
        except WireError as error:
            raise ApplyError(f"the agent says what can't be understood: {error}", where=state.machine) from error
        if not ended:
            raise ApplyError("the agent was cut off before it came to its end", where=state.machine, hint=_AGAIN)

    async def _send(self, machine: str) -> None:
        try:
            await self._transport.run(machine, agent().install, stdin=agent().data)
        except CommandFailed as error:
            raise _explained(error) from error


@dataclass(frozen=True, slots=True)
class _Brought:
    """What came of one try to bring a machine to its state. With anything ``wanted``, nothing was touched."""

    done: tuple[Done, ...]
    refused: tuple[Refused, ...]
    wanted: tuple[Wanted, ...]


class _NoAgent(Exception):
    """The machine hasn't this agent yet."""


def _explained(error: CommandFailed) -> Exception:
    """What the agent's command ending with a status means."""
    oldest = ".".join(map(str, OLDEST_PYTHON))
    if error.status == _NOT_FOUND:
        what = "there is no Python on the machine"
        return ApplyError(what, where=error.where, hint=f"install python3, {oldest} or newer", detail=error.detail)
    if error.status == TOO_OLD:
        what = f"the machine's Python is too old: {error.detail.strip()}"
        return ApplyError(what, where=error.where, hint=f"the agent needs {oldest} or newer")
    if "can't open file" in error.detail or "can't find '__main__'" in error.detail:
        return _NoAgent()
    return ApplyError(
        f"the agent ended with status {error.status} before it came to its end",
        where=error.where,
        hint=_AGAIN,
        detail=error.detail,
    )


def _unfinished(machine: str, failed: list[Refused | Done]) -> ApplyError:
    """One error of them all. Changes that were carried out together and failed as one are named together."""
    together: dict[tuple[str, str, str], list[str]] = {}
    for each in failed:
        together.setdefault((each.problem, each.hint, each.detail), []).append(each.change.key)
    first = failed[0]
    rest = f", and {len(together) - 1} more" if len(together) > 1 else ""
    words = [
        "\n".join(word for word in (f"{', '.join(keys)}: {problem}", hint, detail) if word)
        for (problem, hint, detail), keys in together.items()
    ]
    detail = "\n".join(words) if rest else first.detail
    return ApplyError(f"{first.problem}{rest}", where=machine, hint=first.hint or _AGAIN, detail=detail)
