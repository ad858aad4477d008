"""Running machines: finding, starting, shutting down and killing them.

Nothing about a running machine is written down. The kernel's control groups say which processes are a machine's, so
there is no record that could be damaged, outdated by a crash, or left over from before the host's reboot.
"""

from __future__ import annotations

import asyncio
import os
import signal
from contextlib import suppress
from pathlib import Path
from typing import Final

from groundplane.errors import ConditionTimeout, MachineError
from groundplane.machines.base import Size
from groundplane.machines.lab import processes
from groundplane.machines.lab.hierarchy import Cgroups, Limits, Usage
from groundplane.machines.lab.names import Folders, Names
from groundplane.machines.lab.nspawn import Container, launch
from groundplane.machines.lab.processes import Process
from groundplane.transport.nspawn import Leader
from groundplane.verify.condition import NotYet, wait_until

MANAGER: Final = "systemd-nspawn"
INIT: Final = ("systemd", "init")
STARTING: Final = 30.0  # seconds until the machine's own systemd must have begun
DYING: Final = 30.0  # seconds the kernel has to end what was killed
SHUTDOWN: Final = 60.0  # seconds an orderly shutdown may take
FREEZING: Final = 10.0  # seconds until every process must stand still
LOOK: Final = 0.02  # seconds between two looks at the kernel's files


class Containers:
    """The running part of one lab's machines."""

    def __init__(self, names: Names, folders: Folders, cgroups: Cgroups) -> None:
        self._names = names
        self._folders = folders
        self._cgroups = cgroups

    def manager(self, machine: str) -> Process | None:
        """The systemd-nspawn of a running machine; None while it is off."""
        for pid in self._cgroups.managers(self._names.group(machine)):
            if processes.command_name(pid) == MANAGER and (found := processes.look(pid)) is not None:
                return found
        return None

    def leader(self, machine: str) -> Leader | None:
        """The machine's own first process, once it has begun; None while there is none."""
        manager = self.manager(machine)
        for pid in processes.children(manager.pid) if manager is not None else ():
            if processes.command_name(pid) in INIT and (found := processes.look(pid)) is not None:
                with suppress(FileNotFoundError, ProcessLookupError):
                    return Leader(found.pid, found.start, self._cgroups.entrances(found.pid))
        return None

    def alive(self, machine: str) -> bool:
        """Whether anything of it runs, be it only the shell that starts it again."""
        return bool(self._cgroups.processes(self._names.group(machine)))

    def usage(self, machine: str) -> Usage:
        return self._cgroups.usage(self._names.group(machine))

    def size(self, machine: str) -> Size:
        return self._cgroups.size(self._names.group(machine))

    async def start(self, container: Container, machine: str, limits: Limits) -> None:
        """Start it; returns when its systemd has begun. What an earlier run left is cleared first."""
        await self.kill(machine)
        group = self._names.group(machine)
        self.confine(machine, limits)
        console = self._folders.console(machine)
        if console.exists():
            console.replace(console.with_suffix(".log.1"))
        argv = launch(container, outer=self._cgroups.outer(group), inner=self._cgroups.inner(group))
        with console.open("wb") as log:
            process = await asyncio.create_subprocess_exec(
                *argv, stdin=asyncio.subprocess.DEVNULL, stdout=log, stderr=log, cwd="/", start_new_session=True
            )
            status = await process.wait()
        if status != 0:
            raise MachineError("it can't be started", where=machine, detail=self._last_words(machine))

        async def begun() -> None:
            if self.leader(machine) is not None:
                return
            if not self._cgroups.processes(group):
                raise MachineError(
                    "it ended as soon as it was started", where=machine, detail=self._last_words(machine)
                )
            raise NotYet("systemd-nspawn is still preparing it")

        await wait_until("its systemd begins", begun, deadline=STARTING, every=LOOK, where=machine)

    async def shut_down(self, machine: str) -> bool:
        """Ask its systemd to power off and wait for it; False when it didn't in time."""
        manager = self.manager(machine)
        if manager is None:
            return True
        self.thaw(machine)
        _signal(manager, signal.SIGTERM)  # nspawn hands it on as SIGRTMIN+3: power off
        try:
            await self._gone(machine, SHUTDOWN, every=0.1)
        except ConditionTimeout:
            return False
        return True

    async def kill(self, machine: str) -> None:
        """End every process of the machine at once and remove its control group, as a power cut would."""
        group = self._names.group(machine)
        self._cgroups.kill(group)
        # In version 1 a frozen process dies when it is thawed. Its end is on its way by then: it does nothing else.
        self._signal_all(machine, signal.SIGKILL)
        self._cgroups.freeze(group, still=False)
        await self._gone(machine, DYING, every=LOOK, killing=True)

        async def removed() -> None:
            if not self._cgroups.remove(group):
                raise NotYet("the kernel still uses it")

        await wait_until("its control group is removed", removed, deadline=DYING, every=LOOK, where=machine)

    async def freeze(self, machine: str) -> None:
        """Have every process of the machine stand still, its manager too; returns when they do."""
        group = self._names.group(machine)
        if not self._cgroups.freeze(group, still=True):
            self._signal_all(machine, signal.SIGSTOP)
            return

        async def still() -> None:
            if not self._cgroups.frozen(group):
                raise NotYet("some processes still run")

        await wait_until("its processes stand still", still, deadline=FREEZING, every=LOOK, where=machine)

    def thaw(self, machine: str) -> None:
        """Let them go on; nothing happens to a machine that runs."""
        if not self._cgroups.freeze(self._names.group(machine), still=False):
            self._signal_all(machine, signal.SIGCONT)

    def _signal_all(self, machine: str, number: signal.Signals) -> None:
        for pid in self._cgroups.processes(self._names.group(machine)):
            with suppress(ProcessLookupError):
                os.kill(pid, number)

    def confine(self, machine: str, limits: Limits) -> None:
        """Give the machine its limits, whether or not it runs. MachineError where the kernel refuses: memory, for one,
        can't be less than what is in use."""
        confine(self._cgroups, self._names.group(machine), limits, machine)

    async def _gone(self, machine: str, deadline: float, *, every: float, killing: bool = False) -> None:
        async def empty() -> None:
            left = self._cgroups.processes(self._names.group(machine))
            if killing:
                self._signal_all(machine, signal.SIGKILL)
            if left:
                names = ", ".join(f"{processes.command_name(pid)}[{pid}]" for pid in left[:5])
                raise NotYet(f"{len(left)} processes are left: {names}")

        await wait_until("its processes are gone", empty, deadline=deadline, every=every, where=machine)

    def _last_words(self, machine: str) -> str:
        return last_lines(self._folders.console(machine))


def confine(cgroups: Cgroups, group: str, limits: Limits, where: str) -> None:
    """Make a control group; MachineError where this computer's can't be as it must."""
    try:
        cgroups.create(group, limits)
    except OSError as error:
        raise MachineError(
            "its control group can't be made, or not with these limits",
            where=where,
            hint="`groundplane doctor` shows what this computer's control groups lack",
            detail=str(error),
        ) from error


def last_lines(path: Path, count: int = 20) -> str:
    """The end of a console log, without the terminal's control sequences' escape characters."""
    try:
        text = path.read_bytes()[-8192:].decode(errors="replace")
    except FileNotFoundError:
        return ""
    return "\n".join(text.replace("\x1b", "").splitlines()[-count:])


def _signal(process: Process, number: signal.Signals) -> None:
    """Signal exactly that process, even when its number has been used again since."""
    with suppress(ProcessLookupError):
        handle = os.pidfd_open(process.pid)
        try:
            if processes.alive(process):
                signal.pidfd_send_signal(handle, number)
        finally:
            os.close(handle)
