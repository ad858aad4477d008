"""Reaches machines over SSH: one persistent connection each, any number of commands on it at a time.

    transport = SshTransport({"cp1": Target("192.0.2.11", host_keys=Path("known_hosts"), key=Path("id_ed25519"))})
    await transport.run("cp1", ("systemctl", "is-active", "etcd"))
    async for line in transport.stream("cp1", ("journalctl", "--follow")): ...
    await transport.aclose()

A command costs one round trip on a connection that stands. Whatever its words hold, the far end's shell sees them
quoted; what is secret goes by its input. Host keys are always verified; ``ssh_errors`` says how each way of not
getting through is told.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from secrets import token_hex
from types import TracebackType
from typing import Final, Self, TypeVar

from groundplane.errors import TransportError, Unreachable
from groundplane.state.step import Completed
from groundplane.transport import content, openssh
from groundplane.transport.base import silent
from groundplane.transport.content import LONGEST, Told
from groundplane.transport.ssh_connections import Connections
from groundplane.transport.ssh_errors import explained, foreign, late
from groundplane.transport.ssh_library import Gone, Open, Reader, RemoteProcess, open_connection
from groundplane.transport.ssh_stopping import marked, stop
from groundplane.transport.target import Target
from groundplane.transport.words import failed, shown, too_late

T = TypeVar("T")

AT_ONCE: Final = 32
SESSIONS: Final = 8
"""Commands at a time on one connection. sshd allows 10 (MaxSessions in sshd_config(5)); more wait here."""

PATIENCE: Final = 15.0
GRACE: Final = 3.0
"""Seconds a command that is stopped has to end after SIGTERM, and again after SIGKILL."""

_CHUNK: Final = 1 << 16
_KEPT: Final = 1 << 16  # bytes of a stream's stderr kept for an error


class SshTransport:
    """A Transport for machines with an SSH server. ``targets`` says how each is reached.

    ``at_once`` connections are opened at a time, each within ``patience`` seconds; a command's own timeout begins
    when its connection stands. Use it within one event loop, and ``aclose`` it (or ``async with`` it) at the end.
    """

    def __init__(
        self,
        targets: Mapping[str, Target],
        *,
        at_once: int = AT_ONCE,
        patience: float = PATIENCE,
        open: Open = open_connection,
    ) -> None:
        self._connections = Connections(targets, open, at_once=at_once, patience=patience)
        self._patience = patience
        self._sessions: defaultdict[str, asyncio.Semaphore] = defaultdict(lambda: asyncio.Semaphore(SESSIONS))
        self._stopping: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)  # one session more at a time

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Close every connection."""
        await self._connections.aclose()

    async def run(
        self,
        machine: str,
        argv: Sequence[str],
        *,
        stdin: bytes = b"",
        timeout: float = 60,
        check: bool = True,
    ) -> Completed:
        """See ``state.step.Reach``. ``stdin`` is written and closed; it appears nowhere else."""
        async with self._started(machine, argv, stdin, timeout) as process:
            deadline = asyncio.get_running_loop().time() + timeout
            stdout, stderr = await _until(deadline, asyncio.gather(process.stdout.read(), process.stderr.read()))
            await _until(deadline, process.wait_closed())
            done = Completed(_status(machine, argv, process), stdout, stderr)
        if check and done.status != 0:
            raise failed(machine, argv, done)
        return done

    async def stream(
        self, machine: str, argv: Sequence[str], *, stdin: bytes = b"", timeout: float = 600
    ) -> AsyncGenerator[bytes, None]:
        """The lines of stdout as they come, without their ends; see ``transport.base.Transport``.

        One who stops listening stops the command (with ``aclosing``, at once).
        """
        async with self._started(machine, argv, stdin, timeout) as process:
            deadline = asyncio.get_running_loop().time() + timeout
            complaints = asyncio.create_task(_end_of(process.stderr))
            try:
                rest = b""
                while chunk := await _until(deadline, process.stdout.read(_CHUNK)):
                    *lines, rest = (rest + chunk).split(b"\n")
                    for line in lines:
                        yield line
                if rest:
                    yield rest
                await _until(deadline, process.wait_closed())
                stderr = await complaints
            finally:
                complaints.cancel()
                await asyncio.gather(complaints, return_exceptions=True)
            status = _status(machine, argv, process)
        if status != 0:
            raise failed(machine, argv, Completed(status, b"", stderr))

    async def put(
        self,
        machine: str,
        path: str,
        source: Path,
        *,
        digest: str,
        mode: int = 0o644,
        timeout: float = LONGEST,
        told: Told = silent,
    ) -> None:
        """See ``transport.base.Transport``."""
        argv = content.putting(path, digest, mode)
        async with self._opened(machine, argv, timeout) as channel:
            done, sent = await content.send(channel, source, told)
        content.judge_sent(machine, path, source, digest, done, sent)

    async def get(
        self,
        machine: str,
        path: str,
        target: Path,
        *,
        digest: str = "",
        timeout: float = LONGEST,
        told: Told = silent,
    ) -> str:
        """See ``transport.base.Transport``."""
        async with self._opened(machine, content.getting(path), timeout) as channel:
            return await content.receive(channel, machine, path, target, digest, told)

    def interactive(self, machine: str, argv: Sequence[str]) -> int:
        """Run ``argv`` (empty: a login shell) with this process's terminal, by OpenSSH; return its status."""
        return openssh.sit(machine, self._connections.target(machine), argv)

    @asynccontextmanager
    async def _opened(self, machine: str, argv: Sequence[str], timeout: float) -> AsyncIterator[content.Streams]:
        """The command begun, its input and output open; see ``_started``."""
        async with self._started(machine, argv, None, timeout) as process, asyncio.timeout(timeout):
            complaints = asyncio.create_task(_end_of(process.stderr))
            try:
                yield _Streams(machine, argv, process, complaints)
            finally:
                complaints.cancel()
                await asyncio.gather(complaints, return_exceptions=True)

    @asynccontextmanager
    async def _started(
        self, machine: str, argv: Sequence[str], stdin: bytes | None, timeout: float
    ) -> AsyncIterator[RemoteProcess]:
        """The command begun, and fed unless ``stdin`` is None. However the block is left before the command has ended,
        it is ended there.

        A TimeoutError in the block means that ``timeout`` seconds are over.
        """
        target = self._connections.target(machine)
        async with self._sessions[machine]:
            mark = token_hex(8)
            process = await self._start(machine, target, marked(mark, argv))
            try:
                if stdin is not None:
                    with suppress(BrokenPipeError):  # it may end without reading: its status tells
                        process.stdin.write(stdin)
                        process.stdin.write_eof()
                yield process
            except TimeoutError as error:
                raise too_late(machine, argv, timeout, stopped=await self._stop(machine, process, mark)) from error
            except foreign() as error:
                raise explained(error, machine, target) from error
            except BaseException:
                await self._stop(machine, process, mark)
                raise

    async def _stop(self, machine: str, process: RemoteProcess, mark: str) -> bool:
        """End the command at the far end; return whether it is known to have ended."""
        if process.returncode is not None:
            return True
        try:
            async with asyncio.timeout(3 * GRACE), self._stopping[machine]:
                connection = await self._connections.to(machine)
                stopping = await connection.start(stop(mark, GRACE))
                await asyncio.gather(*map(_thrown_away, (stopping.stdout, process.stdout, process.stderr)))
                await stopping.wait_closed()
                return stopping.returncode == 0
        except TransportError:
            return False
        except foreign():
            return False  # there is no way to it any more
        finally:
            process.close()

    async def _start(self, machine: str, target: Target, command: str) -> RemoteProcess:
        """Begin ``command``, on a new connection where the old one turns out to be gone."""
        for last in (False, True):
            connection = await self._connections.to(machine)
            try:
                async with asyncio.timeout(self._patience):
                    return await connection.start(command)
            except Gone as error:
                if last:
                    raise explained(error, machine, target) from error
            except TimeoutError as error:
                self._connections.drop(machine)
                raise late(machine, target, self._patience) from error
            except foreign() as error:
                raise explained(error, machine, target) from error
        raise AssertionError("the second attempt returns or raises")


class _Streams:
    """A process as a ``content.Streams``; ``complaints`` reads its stderr meanwhile."""

    def __init__(
        self, machine: str, argv: Sequence[str], process: RemoteProcess, complaints: asyncio.Task[bytes]
    ) -> None:
        self._machine, self._argv = machine, argv
        self._process = process
        self._complaints = complaints

    async def write(self, data: bytes) -> None:
        self._process.stdin.write(data)
        await self._process.stdin.drain()

    def end_input(self) -> None:
        with suppress(BrokenPipeError):
            self._process.stdin.write_eof()

    async def read(self, n: int) -> bytes:
        return await self._process.stdout.read(n)

    async def ended(self) -> Completed:
        await self._process.wait_closed()
        return Completed(_status(self._machine, self._argv, self._process), b"", await self._complaints)


async def _thrown_away(reader: Reader) -> None:
    while await reader.read(_CHUNK):
        pass


async def _end_of(reader: Reader) -> bytes:
    """Read to the end and return the last of it."""
    kept = b""
    while chunk := await reader.read(_CHUNK):
        kept = (kept + chunk)[-_KEPT:]
    return kept


async def _until(deadline: float, work: Awaitable[T]) -> T:
    """Await ``work``, at most until the loop's clock says ``deadline``."""
    async with asyncio.timeout_at(deadline):
        return await work


def _status(machine: str, argv: Sequence[str], process: RemoteProcess) -> int:
    """How the command ended; negative: by that signal, as subprocess has it."""
    if process.returncode is None:
        raise Unreachable(
            f"the connection was lost while {shown(argv)} ran",
            where=machine,
            hint="whether it ended there isn't known; running the command again finds out",
        )
    return process.returncode
