"""What the components themselves said meanwhile: the machines' journals, cut down to the units a drill is about."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from typing import Any, Final

from groundplane.drill.model import JournalLine
from groundplane.errors import TransportError
from groundplane.state.step import Reach
from groundplane.topology.model import Machine

LINES: Final = 300
"""Lines of each machine at most, from the fault on: the beginning tells most."""
LONGEST: Final = 400
"""Characters of a line that are kept."""

_READ: Final = f'journalctl "$@" | head -n {LINES}'


async def journals(
    reach: Reach, machines: Sequence[Machine], units: Sequence[str], *, since: float, offset: float
) -> tuple[JournalLine, ...]:
    """The lines of ``units`` on ``machines`` from ``since`` on, in order of time.

    ``offset`` is this computer's wall clock less its monotonic one: journals keep the former. A machine that doesn't
    answer has none.
    """
    found = await asyncio.gather(*(_read(reach, machine.name, units, since, offset) for machine in machines))
    return tuple(sorted((line for lines in found for line in lines), key=lambda line: line.at))


async def _read(
    reach: Reach, machine: str, units: Sequence[str], since: float, offset: float
) -> tuple[JournalLine, ...]:
    argv = (
        *("sh", "-c", _READ, "journal", "--quiet", "--no-pager", "--output=json", f"--since=@{since + offset:.6f}"),
        "--output-fields=MESSAGE,SYSLOG_IDENTIFIER",
        *(f"--unit={unit}" for unit in units),
    )
    try:
        answer = await reach.run(machine, argv, timeout=30, check=False)
    except TransportError:
        return ()
    return parse(machine, answer.text, offset)


def parse(machine: str, text: str, offset: float) -> tuple[JournalLine, ...]:
    """Lines of ``journalctl --output=json`` (systemd.journal-fields(7)); what can't be read is left out."""
    found = []
    for line in text.splitlines():
        try:
            entry: dict[str, Any] = json.loads(line)
            at = int(entry["__REALTIME_TIMESTAMP"]) / 1e6 - offset
        except (ValueError, KeyError):
            continue
        found.append(JournalLine(at, machine, str(entry.get("SYSLOG_IDENTIFIER", "")), _message(entry.get("MESSAGE"))))
    return tuple(found)


def _message(value: str | list[int] | None) -> str:
    """A message; one that isn't text comes as its bytes."""
    text = bytes(value).decode(errors="replace") if isinstance(value, list) else value or ""
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}…"
