"""Keeps one forwarder running per lab, at a port of this computer that stays the same."""

from __future__ import annotations

import asyncio
import os
import socket
import sys
from pathlib import Path
from typing import Final

from groundplane.errors import MachineError
from groundplane.machines.lab import forward
from groundplane.machines.lab.containers import confine
from groundplane.machines.lab.hierarchy import Cgroups, Limits
from groundplane.machines.lab.names import FORWARDER, NAMESPACES, Folders, Names
from groundplane.store.files import write_private
from groundplane.topology.model import Topology

LOOPBACK: Final = "127.0.0.1"
_START: Final = 'for file in $1; do echo 0 >"$file" || exit 1; done; shift; exec setsid --fork "$@"'


class Forwarder:
    """The lab's way from this computer to the API's floating address."""

    def __init__(self, names: Names, folders: Folders, cgroups: Cgroups, topology: Topology) -> None:
        self._folders = folders
        self._cgroups = cgroups
        self._group = names.group(FORWARDER)
        self._argv = (
            *(sys.executable, "-I", "-S", str(Path(forward.__file__).resolve())),
            *(str(NAMESPACES / names.namespace), str(topology.lan.floating), str(topology.api_port)),
        )

    def endpoint(self) -> tuple[str, int]:
        """Where it listens; MachineError before it was ever started."""
        port = self._port()
        if port is None:
            raise MachineError("the lab has no way in yet", hint="run: groundplane up")
        return LOOPBACK, port

    def running(self) -> bool:
        """Whether it runs as it would be started now, in the lab's present network, at a port that is known."""
        found = self._cgroups.processes(self._group)
        return (
            self._port() is not None
            and [_command_line(pid) for pid in found] == [self._argv]
            and _same_namespace(found[0], Path(self._argv[4]))
        )

    async def start(self) -> None:
        """Start it. The port it had is taken again; a new one only where somebody else has that one now."""
        listener = _listen(self._port())
        try:
            confine(self._cgroups, self._group, Limits(), "the forwarder")
            groups = " ".join(str(path) for path in self._cgroups.outer(self._group))
            with (self._folders.root / "forward.log").open("wb") as log:
                process = await asyncio.create_subprocess_exec(
                    *("/bin/sh", "-c", _START, "groundplane-forward", groups, *self._argv),
                    stdin=listener.fileno(),
                    stdout=log,
                    stderr=log,
                    env={"LANG": "C.UTF-8", "PATH": os.defpath},
                    cwd="/",
                    start_new_session=True,
                )
                if await process.wait() != 0:
                    raise MachineError(
                        "the forwarder can't be started",
                        detail=(self._folders.root / "forward.log").read_text(errors="replace"),
                    )
            write_private(self._folders.port, f"{listener.getsockname()[1]}\n".encode())
        finally:
            listener.close()

    def _port(self) -> int | None:
        try:
            return int(self._folders.port.read_text(encoding="ascii"))
        except (FileNotFoundError, ValueError):  # a damaged one counts as none
            return None


def _listen(port: int | None) -> socket.socket:
    """A listening socket on the loopback, at ``port`` where that is free."""
    for candidate in (port, 0) if port else (0,):
        listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((LOOPBACK, candidate))
            listener.listen(128)
            return listener
        except OSError as error:
            listener.close()
            if candidate == 0:
                raise MachineError("no port is free on the loopback", detail=str(error)) from error
    raise AssertionError("port 0 either works or raises")


def _same_namespace(pid: int, namespace: Path) -> bool:
    try:
        return os.stat(f"/proc/{pid}/ns/net").st_ino == os.stat(namespace).st_ino
    except (FileNotFoundError, ProcessLookupError):
        return False


def _command_line(pid: int) -> tuple[str, ...]:
    try:
        return tuple(Path(f"/proc/{pid}/cmdline").read_bytes().rstrip(b"\0").decode(errors="replace").split("\0"))
    except (FileNotFoundError, ProcessLookupError):
        return ()
