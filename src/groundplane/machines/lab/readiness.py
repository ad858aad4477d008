"""When a machine has finished booting, and what its own words are when it hasn't.

The wait itself costs next to nothing: systemd is asked once and answers when it is done, and cloud-init's result is
a file, looked at from outside.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from time import monotonic
from typing import Final

from groundplane.errors import ConditionTimeout, MachineError, TransportError
from groundplane.transport.base import Transport
from groundplane.transport.nspawn import Leader
from groundplane.verify.condition import NotYet, wait_until

STATES: Final = ("running", "degraded")
_SOCKET: Final = "run/systemd/private"  # present once systemd answers
_RESULT: Final = "run/cloud-init/result.json"
_SKIPPED: Final = "run/cloud-init/disabled"


async def wait_ready(
    machine: str,
    leader: Callable[[], Leader | None],
    transport: Transport,
    *,
    deadline: float,
    strict: bool,
    alive: Callable[[], bool] = lambda: True,
    proc: Path = Path("/proc"),
) -> str:
    """Wait until systemd has started everything and cloud-init is done; return systemd's word for its state.

    ``alive`` says whether the machine is on, be it between two boots; one that goes off is a MachineError at once.
    Raises MachineError where cloud-init reports errors, and (``strict``) where units failed: then with the end of
    their journals in ``detail``. Raises ConditionTimeout, with the unfinished jobs, after ``deadline`` seconds.
    """
    end = monotonic() + deadline
    state = ""

    async def booted() -> None:
        nonlocal state
        root = _root(leader, proc)
        if root is None:
            if not alive():
                raise MachineError("it went off while booting", where=machine, hint=_look(machine))
            raise NotYet("it isn't running")
        if not (root / _SOCKET).exists():
            raise NotYet("its systemd doesn't answer yet")
        asked = await transport.run(
            machine,
            ("systemctl", "is-system-running", "--wait"),
            timeout=max(1.0, end - monotonic()),
            check=False,
        )
        state = asked.text
        if state not in STATES:
            raise NotYet(f"systemd says {state or asked.stderr.decode(errors='replace').strip()!r}")
        if not ((root / _RESULT).exists() or (root / _SKIPPED).exists()):
            raise NotYet("cloud-init isn't done")

    try:
        await wait_until("it has booted", booted, deadline=deadline, every=0.1, where=machine)
    except ConditionTimeout as late:
        late.detail += "\n" + await _words(machine, transport, ("systemctl", "list-jobs", "--no-pager"))
        late.hint = _look(machine)
        raise
    root = _root(leader, proc)
    if root is None:
        raise MachineError("it went off while booting", where=machine, hint=_look(machine))
    complaints = _complaints(root / _RESULT)
    if complaints:
        raise MachineError(
            "cloud-init reports errors",
            where=machine,
            detail="\n".join(complaints)
            + "\n"
            + await _words(machine, transport, ("tail", "-n", "20", "/var/log/cloud-init-output.log")),
        )
    if strict and state != "running":
        failed = await _failed_units(machine, transport)
        raise MachineError(
            f"units failed: {', '.join(failed)}",
            where=machine,
            detail="\n".join([await _journal(machine, transport, unit) for unit in failed]),
        )
    return state


def _look(machine: str) -> str:
    return f"look at it: groundplane console {machine}"


def _root(leader: Callable[[], Leader | None], proc: Path) -> Path | None:
    """The machine's root folder seen from this computer, for paths without symbolic links; None without a leader."""
    found = leader()
    return None if found is None else proc / str(found.pid) / "root"


def _complaints(result: Path) -> tuple[str, ...]:
    try:
        content = json.loads(result.read_bytes())
    except (FileNotFoundError, ProcessLookupError):
        return ()  # it was told not to run
    except ValueError:
        return ("its result file is damaged",)
    return tuple(str(error) for error in content.get("v1", {}).get("errors", ()))


async def _failed_units(machine: str, transport: Transport) -> tuple[str, ...]:
    argv = ("systemctl", "list-units", "--failed", "--plain", "--no-legend", "--no-pager")
    found = await _words(machine, transport, argv)
    return tuple(line.split()[0] for line in found.splitlines() if line.strip())


async def _journal(machine: str, transport: Transport, unit: str) -> str:
    return await _words(
        machine, transport, ("journalctl", "--boot", "--no-pager", "--output=short", "--lines=12", f"--unit={unit}")
    )


async def _words(machine: str, transport: Transport, argv: tuple[str, ...]) -> str:
    """What a command says; its failure is said instead, as this only explains another one."""
    try:
        return (await transport.run(machine, argv, timeout=10, check=False)).text
    except TransportError as error:
        return str(error)
