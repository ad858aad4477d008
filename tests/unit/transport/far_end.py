"""A machine's far end of an SSH connection, scripted: no socket, no process, no library."""

from __future__ import annotations

import asyncio
import shlex
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

import asyncssh  # noqa: F401 - here, because its import runs ldconfig, which no test may

from groundplane.transport.ssh_library import Gone, RemoteProcess
from groundplane.transport.ssh_stopping import MARK
from groundplane.transport.target import Target


class Command:
    """A command that runs there. A script reads ``given``, says things, and ends it."""

    def __init__(self, argv: list[str], mark: str) -> None:
        self.argv = argv
        self.mark = mark
        self.given = b""
        self.whole = asyncio.Event()  # all of its input has come
        self.returncode: int | None = None
        self.closed = asyncio.Event()
        self.stdout = asyncio.StreamReader()
        self.stderr = asyncio.StreamReader()

    @property
    def stdin(self) -> Command:
        return self

    def write(self, data: bytes, /) -> None:
        if self.closed.is_set():
            raise BrokenPipeError
        self.given += data

    async def drain(self) -> None:
        if self.closed.is_set():
            raise BrokenPipeError

    def write_eof(self) -> None:
        self.whole.set()

    def says(self, stdout: bytes = b"", stderr: bytes = b"") -> None:
        self.stdout.feed_data(stdout)
        self.stderr.feed_data(stderr)

    def ends(self, status: int | None = 0) -> None:
        """With None: its channel closes, and nobody says why."""
        self.returncode = status
        self.stdout.feed_eof()
        self.stderr.feed_eof()
        self.closed.set()

    def breaks(self, error: Exception) -> None:
        """The connection is lost under it."""
        self.stdout.set_exception(error)
        self.stderr.set_exception(error)
        self.closed.set()

    def close(self) -> None:
        self.closed.set()

    async def wait_closed(self) -> None:
        await self.closed.wait()
        assert self.stdout.at_eof(), "a command that can't get rid of what it says never ends"


Script = Callable[[Command], Awaitable[None] | None]


@dataclass
class FarEnd:
    """``opens`` and ``starts`` are what connecting and starting come to, in turn: None is well. ``runs`` scripts every
    command; the one that stops others stops those it names, unless ``unstoppable``."""

    runs: Script
    opens: list[Exception | None] = field(default_factory=list)
    starts: list[Exception | None] = field(default_factory=list)
    unstoppable: bool = False
    opened: list[Target] = field(default_factory=list)
    begun: list[Command] = field(default_factory=list)
    stopped: list[str] = field(default_factory=list)
    scripts: set[asyncio.Task[None]] = field(default_factory=set)
    connections: list[FarConnection] = field(default_factory=list)
    gate: asyncio.Event | None = None
    """While it is there and not set, connecting takes as long as it isn't."""

    async def open(self, target: Target) -> FarConnection:
        self.opened.append(target)
        if self.gate is not None:
            await self.gate.wait()
        if self.opens and (problem := self.opens.pop(0)) is not None:
            raise problem
        self.connections.append(FarConnection(self))
        return self.connections[-1]

    @property
    def running(self) -> int:
        return sum(not command.closed.is_set() for command in self.begun)

    def stop(self, mark: str) -> int:
        """What the stopping command does there; its status."""
        self.stopped.append(mark)
        for command in self.begun:
            if command.mark == mark and not command.closed.is_set() and not self.unstoppable:
                command.ends(-15)
        return 1 if self.unstoppable else 0


class FarConnection:
    def __init__(self, end: FarEnd) -> None:
        self.end = end
        self.closed = False

    async def start(self, command: str) -> RemoteProcess:
        if self.end.starts and (problem := self.end.starts.pop(0)) is not None:
            self.closed = isinstance(problem, Gone)
            raise problem
        head, *words = shlex.split(command)
        assert head == "exec", "the shell must not stay in between"
        if words[0] == "env":
            return self._begin(words)
        stopping = Command(words, "")
        stopping.ends(self.end.stop(words[4].removeprefix(f"{MARK}=")))
        return stopping

    def _begin(self, words: list[str]) -> Command:
        mark, language, *argv = words[1:]
        assert language == "LANG=C.UTF-8", "commands have one language on every kind of machine"
        begun = Command(argv, mark.removeprefix(f"{MARK}="))
        self.end.begun.append(begun)

        async def script() -> None:
            if (awaited := self.end.runs(begun)) is not None:
                await awaited

        task = asyncio.create_task(script())
        self.end.scripts.add(task)
        task.add_done_callback(self.end.scripts.discard)
        return begun

    def is_closed(self) -> bool:
        return self.closed

    def close(self) -> None:
        self.closed = True

    async def wait_closed(self) -> None:
        assert self.closed
