"""systemd's units: how they are, and what is done to them. One call of systemctl for all units of a kind of act, so
that systemd puts them in order itself."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from groundplane.agent.error import AgentError
from groundplane.agent.machine import LocalMachine
from groundplane.agent.observed import UnitSeen
from groundplane.agent.runner import NOT_FOUND, Ran, Running

_PROPERTIES = (
    "LoadState",
    "ActiveState",
    "SubState",
    "UnitFileState",
    "Type",
    "NeedDaemonReload",
    "InactiveEnterTimestampMonotonic",
    "ActiveEnterTimestampMonotonic",
    "NRestarts",
)
LONGEST = 300.0
"""Seconds systemctl may take. A unit's own limits (90 s by default, for stopping and for starting) end it before."""

HOLDS = 1.0
"""Seconds after which a program that says nothing when it is ready counts as running: a wrong file ends one sooner."""

LINES = 15
"""Lines of a unit's journal that an error shows."""


def ask(machine: LocalMachine, names: Sequence[str]) -> Running:
    """Begin asking for ``names``; ``answer`` reads it."""
    return machine.runner.start(("systemctl", "show", f"--property={','.join(_PROPERTIES)}", "--", *names))


def answer(machine: LocalMachine, names: Sequence[str], ran: Ran) -> dict[str, UnitSeen]:
    """The units of ``names`` that systemd knows, or could know."""
    if ran.status != 0:
        raise AgentError("systemd doesn't answer", hint=_hint(ran), detail=ran.words)
    # A block per unit, in the order asked for: its own Id may be another name of it.
    blocks = [_block(block) for block in ran.stdout.strip("\n").split("\n\n")]
    if len(blocks) != len(names):
        raise AgentError(f"systemd was asked for {len(names)} units and told of {len(blocks)}", detail=ran.words)
    boot = machine.now() - machine.monotonic()
    return {name: _unit(block, boot) for name, block in zip(names, blocks)}  # noqa: B905  # counted above


def seen(machine: LocalMachine, names: Sequence[str]) -> dict[str, UnitSeen]:
    return answer(machine, names, ask(machine, names).wait()) if names else {}


def _block(text: str) -> Mapping[str, str]:
    rows = (line.partition("=") for line in text.splitlines())
    return {key: value for key, _, value in rows}


def _unit(block: Mapping[str, str], boot: float) -> UnitSeen:
    left, entered = _micro(block, "InactiveEnterTimestampMonotonic"), _micro(block, "ActiveEnterTimestampMonotonic")
    return UnitSeen(
        load=block.get("LoadState", ""),
        active=block.get("ActiveState", ""),
        sub=block.get("SubState", ""),
        enablement=block.get("UnitFileState", ""),
        type=block.get("Type", ""),
        stale=block.get("NeedDaemonReload") == "yes",
        since=boot + left if left else None,
        active_since=entered,
        restarts=int(block.get("NRestarts") or 0),
    )


def _micro(block: Mapping[str, str], key: str) -> float:
    text = block.get(key, "")
    return int(text) / 1e6 if text.isdigit() else 0.0


def _hint(ran: Ran) -> str:
    if ran.status == NOT_FOUND:
        return "the machine has no systemctl: groundplane needs machines that systemd runs"
    return "see `systemctl status` on the machine: it may be starting, or going down"


def act(machine: LocalMachine, *words: str) -> Ran:
    """``systemctl`` with ``words``; whether the units then are as they should be is seen by looking at them."""
    return machine.runner.run(("systemctl", *words), timeout=LONGEST)


def demand(machine: LocalMachine, *words: str) -> None:
    """``systemctl`` with ``words``, which must end well."""
    ran = act(machine, *words)
    if ran.status != 0:
        raise AgentError(f"systemctl {' '.join(words)} ended with status {ran.status}", detail=ran.words)


def network(machine: LocalMachine, *words: str) -> None:
    """``networkctl`` with ``words``, which must end well."""
    ran = machine.runner.run(("networkctl", *words), timeout=LONGEST)
    if ran.status != 0:
        raise AgentError(f"networkctl {' '.join(words)} ended with status {ran.status}", detail=ran.words)


def settled(machine: LocalMachine, names: Sequence[str]) -> dict[str, UnitSeen]:
    """The units a while after they were started: one whose program dies at once has then been seen to."""
    found = seen(machine, names)
    first = {name: unit.restarts for name, unit in found.items()}
    # A program that tells when it is ready (Type=notify, forking, dbus) or has done its work (oneshot) needs no watch.
    watched = [name for name, unit in found.items() if unit.runs and unit.type in ("simple", "exec", "idle")]
    end = machine.monotonic() + HOLDS
    while watched and machine.monotonic() < end:
        machine.pause(0.2)
        found.update(seen(machine, watched))
        watched = [name for name in watched if found[name].runs and found[name].restarts == first[name]]
    return {
        name: unit if unit.restarts == first[name] else UnitSeen(unit.load, "failed", "restarting")
        for name, unit in found.items()
    }


def journal(machine: LocalMachine, name: str, since: float) -> str:
    """The unit's last lines in the journal from a time on (seconds since 1970), for an error."""
    argv = ("journalctl", f"--unit={name}", f"--since=@{int(since)}", f"--lines={LINES}", "--no-pager", "--quiet")
    ran = machine.runner.run(argv)
    return ran.words if ran.status == 0 else ""
