"""Debian packages: which are there, and having more installed. None is ever removed."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence

from groundplane.agent import files
from groundplane.agent.error import AgentError
from groundplane.agent.machine import LocalMachine
from groundplane.agent.runner import Ran, Running

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Final

_QUIET: Final[Mapping[str, str]] = {
    "DEBIAN_FRONTEND": "noninteractive",
    "DEBIAN_PRIORITY": "critical",
    "NEEDRESTART_SUSPEND": "1",  # Ubuntu's would restart what it likes
}
LOCK_WAIT = 120
"""Seconds to wait for whoever else installs something: unattended upgrades, mostly."""

LONGEST = 1800.0
_POLICY = "/usr/sbin/policy-rc.d"
_NOTHING_STARTS = (
    b"#!/bin/sh\n# groundplane's, while it installs packages: their services start once configured.\nexit 101\n"
)
_LOCKS = ("/var/lib/dpkg/lock-frontend", "/var/lib/dpkg/lock", "/var/lib/apt/lists/lock")


def ask(machine: LocalMachine, names: Sequence[str]) -> Running:
    return machine.runner.start(("dpkg-query", "--show", "--showformat=${Package} ${db:Status-Abbrev}\\n", *names))


def answer(ran: Ran) -> frozenset[str]:
    """Those installed and configured. dpkg-query ends with 1 when it doesn't know one of them."""
    if ran.status not in (0, 1):
        raise AgentError("dpkg can't be asked what is installed", detail=ran.words)
    rows = (line.split() for line in ran.stdout.splitlines())
    return frozenset(row[0] for row in rows if len(row) > 1 and row[1][1:2] == "i")


def install(machine: LocalMachine, names: Sequence[str]) -> None:
    """Have ``names`` installed, and nothing that they merely recommend. Their files of ours stay as they are."""
    argv = (
        *("apt-get", "install", "--yes", "--no-install-recommends", "--quiet"),
        *("-o", f"DPkg::Lock::Timeout={LOCK_WAIT}", "-o", "Dpkg::Use-Pty=0"),
        *("-o", "Dpkg::Options::=--force-confdef", "-o", "Dpkg::Options::=--force-confold"),
        *("--", *names),
    )
    _let_services_start(machine)  # a run that was killed may have left its word
    if not os.path.lexists(machine.at(_POLICY)):
        files.put(machine, _POLICY, _NOTHING_STARTS, 0o755, os.geteuid(), os.getegid())
    try:
        ran = machine.runner.run(argv, timeout=LONGEST, extra=_QUIET)
    finally:
        _let_services_start(machine)
    if ran.status != 0:
        raise _explained(machine, names, ran)


def _let_services_start(machine: LocalMachine) -> None:
    """Remove our policy (README.policy-rc.d of init-system-helpers), no other one."""
    try:
        with open(machine.at(_POLICY), "rb") as file:
            ours = file.read() == _NOTHING_STARTS
    except FileNotFoundError:
        return
    if ours:
        files.discard(machine, _POLICY)


def _explained(machine: LocalMachine, names: Sequence[str], ran: Ran) -> AgentError:
    if "Could not get lock" in ran.stderr or "Unable to acquire the dpkg" in ran.stderr:
        return AgentError(
            f"packages can't be installed: for {LOCK_WAIT} s {_holder(machine)} has held apt's lock",
            hint="wait until it has ended, then run the same command again",
            detail=ran.words,
        )
    if "Unable to locate package" in ran.stderr or "has no installation candidate" in ran.stderr:
        hint = "the machine's package sources don't have it: check them, run `apt-get update` there, then this again"
    else:
        hint = "see what apt says below; `dpkg --configure -a` on the machine finishes what was interrupted"
    return AgentError(f"apt-get couldn't install {', '.join(names)}", hint=hint, detail=ran.words)


def _holder(machine: LocalMachine) -> str:
    """Who holds apt's lock, by /proc/locks (proc_locks(5)); somebody, where it can't be seen."""
    nodes = []
    for lock in _LOCKS:
        try:
            nodes.append(os.stat(machine.at(lock)).st_ino)
        except OSError:
            continue
    try:
        with open(machine.at("/proc/locks"), encoding="utf-8") as file:
            rows = [line.split() for line in file]
        # "1: POSIX ADVISORY WRITE 1234 fe:00:5678 0 EOF"; one that waits has "->" in second place.
        pids = [row[4] for row in rows if row[1] != "->" and int(row[5].rpartition(":")[2]) in nodes]
        with open(machine.at(f"/proc/{pids[0]}/comm"), encoding="utf-8") as file:
            return f"{file.read().strip()} (process {pids[0]})"
    except (OSError, IndexError, ValueError):
        return "somebody else"
