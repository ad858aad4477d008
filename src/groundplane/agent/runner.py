"""Runs programs. Done with posix_spawn and memory files: importing ``subprocess`` takes longer than most runs of the
agent have to."""

from __future__ import annotations

import os
import select
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

TYPE_CHECKING = False  # typing's own costs its import, which is slow
if TYPE_CHECKING:
    from typing import Final, Protocol
else:
    Protocol = object

NOT_FOUND = 127
TIMED_OUT = 124
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
ENVIRONMENT: Final[Mapping[str, str]] = {"HOME": "/root", "LC_ALL": "C.UTF-8", "PATH": PATH}


@dataclass(frozen=True, slots=True)
class Ran:
    """How a program ended. ``NOT_FOUND`` when there is no such program, ``TIMED_OUT`` when it was stopped."""

    status: int
    stdout: str = field(default="", repr=False)
    stderr: str = field(default="", repr=False)

    @property
    def words(self) -> str:
        """The end of what it said, for an error."""
        return "\n".join((self.stderr.strip() or self.stdout.strip()).splitlines()[-20:])


class Running(Protocol):
    """A program that was started."""

    def wait(self) -> Ran: ...


class ProgramRunner(Protocol):
    """Starts programs; ``start`` gives back at once, ``run`` waits for the end. ``extra`` adds to the environment."""

    def start(self, argv: Sequence[str], timeout: float = 60, extra: Mapping[str, str] = ...) -> Running: ...

    def run(self, argv: Sequence[str], timeout: float = 60, extra: Mapping[str, str] = ...) -> Ran: ...


class Spawner:
    """The ProgramRunner that runs them, without input. What they say goes to memory, not to a pipe that could fill."""

    def start(self, argv: Sequence[str], timeout: float = 60, extra: Mapping[str, str] = ENVIRONMENT) -> Running:
        out, err = os.memfd_create("stdout"), os.memfd_create("stderr")
        actions = [
            (os.POSIX_SPAWN_OPEN, 0, "/dev/null", os.O_RDONLY, 0),
            (os.POSIX_SPAWN_DUP2, out, 1),
            (os.POSIX_SPAWN_DUP2, err, 2),
        ]
        try:
            # A group of its own: stopping it stops what it started.
            pid = os.posix_spawnp(argv[0], list(argv), {**ENVIRONMENT, **extra}, file_actions=actions, setpgroup=0)
        except (FileNotFoundError, PermissionError, NotADirectoryError) as error:
            os.close(out)
            os.close(err)
            return _Ended(Ran(NOT_FOUND, "", f"{argv[0]}: {error.strerror}"))
        return _Spawned(pid, out, err, timeout)

    def run(self, argv: Sequence[str], timeout: float = 60, extra: Mapping[str, str] = ENVIRONMENT) -> Ran:
        return self.start(argv, timeout, extra).wait()


@dataclass(frozen=True, slots=True)
class _Ended:
    ran: Ran

    def wait(self) -> Ran:
        return self.ran


@dataclass(frozen=True, slots=True)
class _Spawned:
    pid: int
    out: int
    err: int
    timeout: float

    def wait(self) -> Ran:
        handle = os.pidfd_open(self.pid)
        poll = select.poll()
        poll.register(handle, select.POLLIN)
        late = not poll.poll(self.timeout * 1000)
        os.close(handle)
        if late:
            from signal import SIGKILL  # costs its import, and hardly any program is late

            os.killpg(self.pid, SIGKILL)
        status = os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])
        stdout, stderr = _drained(self.out), _drained(self.err)
        if late:
            return Ran(TIMED_OUT, stdout, f"{stderr}\nit was stopped after {self.timeout:g} s")
        return Ran(status, stdout, stderr)


def _drained(memory: int) -> str:
    with open(memory, "rb") as file:
        file.seek(0)
        return file.read().decode(errors="replace")
