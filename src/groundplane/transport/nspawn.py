"""Reaches machines that are system containers of this host, by entering their namespaces with nsenter(1).

A command runs inside the machine's control groups as well as its namespaces, so it counts against the machine's
limits and dies with the machine. One call costs a few milliseconds.
"""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from groundplane.errors import CommandFailed, TransportError, Unreachable
from groundplane.state.step import Completed
from groundplane.transport import content
from groundplane.transport.base import silent
from groundplane.transport.content import LONGEST, Told
from groundplane.transport.words import failed, tail, too_late

ENVIRONMENT: Final[Mapping[str, str]] = {
    "HOME": "/root",
    "LANG": "C.UTF-8",
    "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    "SHELL": "/bin/bash",
    "USER": "root",
}
_REAPING: Final = 5.0  # seconds for a killed command to be reaped
_ATTEMPTS: Final = 5  # a booting systemd moves itself between groups while we try to join it

_LONGEST_LINE: Final = 16 << 20  # bytes of one line that can be listened to

_NOT_JOINED: Final = 125
_ENTER: Final = f"""\
count=$1; shift
while [ "$count" -gt 0 ]; do
  echo 0 2>/dev/null >"$1" || {{ echo "groundplane: cannot join $1" >&2; exit {_NOT_JOINED}; }}
  shift; count=$((count - 1))
done
exec "$@"
"""


@dataclass(frozen=True, slots=True)
class Leader:
    """A machine's first process as the host sees it.

    ``start`` is when it began (clock ticks since the host's boot): process numbers are used again.
    ``groups`` are the ``cgroup.procs`` files by which its control groups are joined.
    """

    pid: int
    start: int
    groups: tuple[Path, ...] = ()


Locate = Callable[[str], Leader | None]
"""Finds a machine's leader as it is now; None while the machine isn't running. Asked at every call."""


class NspawnTransport:
    """A Transport for system containers. ``locate`` is the provider's."""

    def __init__(self, locate: Locate) -> None:
        self._locate = locate

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
        for attempt in range(1, _ATTEMPTS + 1):
            leader = self._leader(machine)
            done = await self._attempt(machine, leader, argv, stdin, timeout)
            if not self._moved(machine, leader, done, attempt):
                break
        if check and done.status != 0:
            raise failed(machine, argv, done)
        return done

    async def stream(
        self, machine: str, argv: Sequence[str], *, stdin: bytes = b"", timeout: float = 600
    ) -> AsyncGenerator[bytes, None]:
        """See ``transport.base.Transport``."""
        deadline = asyncio.get_running_loop().time() + timeout
        for attempt in range(1, _ATTEMPTS + 1):
            leader = self._leader(machine)
            said = False
            process = await self._start(machine, leader, argv, fed=bool(stdin))
            assert process.stdout is not None  # pipes were asked for
            assert process.stderr is not None
            feeding = asyncio.create_task(_feed(process, stdin))
            complaints = asyncio.create_task(process.stderr.read())
            try:
                while line := await _next_line(process.stdout, deadline):
                    said = True
                    yield line.rstrip(b"\n")
                async with asyncio.timeout_at(deadline):
                    done = Completed(await process.wait(), b"", await complaints)
            except TimeoutError as late:
                raise too_late(machine, argv, timeout) from late
            finally:
                feeding.cancel()
                complaints.cancel()
                await end(process)
            if said or not self._moved(machine, leader, done, attempt):
                if done.status != 0:
                    raise failed(machine, argv, done)
                return

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
        for attempt in range(1, _ATTEMPTS + 1):
            leader = self._leader(machine)
            async with self._opened(machine, leader, argv, timeout) as channel:
                done, sent = await content.send(channel, source, told)
            if not self._moved(machine, leader, done, attempt):
                content.judge_sent(machine, path, source, digest, done, sent)
                return

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
        argv = content.getting(path)
        for attempt in range(1, _ATTEMPTS + 1):
            leader = self._leader(machine)
            async with self._opened(machine, leader, argv, timeout) as channel:
                try:
                    return await content.receive(channel, machine, path, target, digest, told)
                except CommandFailed:
                    if not self._moved(machine, leader, await channel.ended(), attempt):
                        raise
        raise AssertionError("the last attempt returns or raises")

    @asynccontextmanager
    async def _opened(
        self, machine: str, leader: Leader, argv: Sequence[str], timeout: float
    ) -> AsyncIterator[content.Streams]:
        """The command begun, its input and output open; however the block is left, it has ended by then."""
        process = await self._start(machine, leader, argv, fed=True)
        streams = _Streams(process)
        try:
            async with asyncio.timeout(timeout):
                yield streams
        except TimeoutError as late:
            raise too_late(machine, argv, timeout) from late
        finally:
            streams.complaints.cancel()
            await end(process)

    def _moved(self, machine: str, leader: Leader, done: Completed, attempt: int) -> bool:
        """Whether the machine moved between finding and entering it, so that the command never began."""
        joined = not (done.status == _NOT_JOINED and done.stderr.startswith(b"groundplane: cannot join"))
        if joined and (done.status == 0 or self._locate(machine) == leader or not _nsenter_failed(done)):
            return False
        if attempt == _ATTEMPTS or self._locate(machine) is None:
            raise Unreachable("the machine went away", where=machine, detail=tail(done.stderr))
        return True

    def interactive(self, machine: str, argv: Sequence[str]) -> int:
        """Run ``argv`` (empty: a login shell) with this process's terminal; return its status."""
        leader = self._leader(machine)
        environment = {**ENVIRONMENT, "TERM": os.environ.get("TERM", "dumb")}
        with subprocess.Popen(enter(leader, argv or ("/bin/bash", "--login")), env=environment) as process:
            while True:
                try:
                    return process.wait()
                except KeyboardInterrupt:
                    continue  # it was meant for the command, which had it from the terminal as well

    def _leader(self, machine: str) -> Leader:
        leader = self._locate(machine)
        if leader is None:
            raise Unreachable("the machine isn't running", where=machine, hint=f"start it: groundplane start {machine}")
        return leader

    async def _attempt(
        self, machine: str, leader: Leader, argv: Sequence[str], stdin: bytes, timeout: float
    ) -> Completed:
        process = await self._start(machine, leader, argv, fed=bool(stdin))
        try:
            async with asyncio.timeout(timeout):
                stdout, stderr = await process.communicate(stdin or None)
        except TimeoutError as late:
            await end(process)
            raise too_late(machine, argv, timeout) from late
        except BaseException:
            await end(process)
            raise
        assert process.returncode is not None  # communicate() waited for it
        return Completed(process.returncode, stdout, stderr)

    async def _start(
        self, machine: str, leader: Leader, argv: Sequence[str], *, fed: bool
    ) -> asyncio.subprocess.Process:
        try:
            return await asyncio.create_subprocess_exec(
                *enter(leader, argv),
                stdin=asyncio.subprocess.PIPE if fed else asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE,
                env=dict(ENVIRONMENT),
                start_new_session=True,
                limit=_LONGEST_LINE,
            )
        except OSError as error:
            raise TransportError(
                f"the command can't be started on this computer: {error.strerror}", where=machine
            ) from error


class _Streams:
    """A process as a ``content.Streams``. Its stderr is read meanwhile, so that it never waits for us to do so."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        assert process.stdin is not None  # pipes were asked for
        assert process.stdout is not None
        assert process.stderr is not None
        self._process = process
        self._stdin, self._stdout = process.stdin, process.stdout
        self.complaints = asyncio.create_task(process.stderr.read())

    async def write(self, data: bytes) -> None:
        self._stdin.write(data)
        await self._stdin.drain()

    def end_input(self) -> None:
        self._stdin.close()

    async def read(self, n: int) -> bytes:
        return await self._stdout.read(n)

    async def ended(self) -> Completed:
        return Completed(await self._process.wait(), b"", await self.complaints)


async def _feed(process: asyncio.subprocess.Process, stdin: bytes) -> None:
    """Write ``stdin`` and close it. A command that doesn't read to the end says itself why."""
    if process.stdin is not None:
        with suppress(BrokenPipeError, ConnectionResetError):
            process.stdin.write(stdin)
            await process.stdin.drain()
        process.stdin.close()


async def _next_line(stdout: asyncio.StreamReader, deadline: float) -> bytes:
    async with asyncio.timeout_at(deadline):
        return await stdout.readline()


def enter(leader: Leader, argv: Sequence[str]) -> tuple[str, ...]:
    """The argv on this host that runs ``argv`` inside the leader's machine."""
    return (
        *("/bin/sh", "-c", _ENTER, "groundplane-enter", str(len(leader.groups)), *map(str, leader.groups)),
        *("nsenter", "--target", str(leader.pid)),
        *("--mount", "--uts", "--ipc", "--net", "--pid", "--cgroup", "--", *argv),
    )


def _nsenter_failed(done: Completed) -> bool:
    """Whether nsenter itself complains; a command that couldn't be found is the command's failure (127)."""
    return done.status == 1 and done.stderr.startswith(b"nsenter:")


async def end(process: asyncio.subprocess.Process) -> None:
    """Kill the command and whatever it started, also what left its process group, and reap it.

    The command leads a session. A daemon that lost its parent may still hold the command's pipes, and the wait would
    last as long as it does: after some seconds they are closed at our end.
    """
    if process.returncode is None:  # else its number may be another process's by now
        for pid in (*reversed(descendants(process.pid)), process.pid):
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    try:
        async with asyncio.timeout(_REAPING):
            await process.wait()
    except TimeoutError:
        process._transport.close()  # type: ignore[attr-defined]  # asyncio gives no other way to it


def descendants(pid: int, *, proc: Path = Path("/proc")) -> tuple[int, ...]:
    """Every process below ``pid``, parents before children."""
    found: list[int] = []
    waiting = [pid]
    while waiting:
        current = waiting.pop()
        try:
            text = (proc / str(current) / "task" / str(current) / "children").read_text(encoding="ascii")
        except (FileNotFoundError, ProcessLookupError):
            continue
        below = [int(word) for word in text.split()]
        found += below
        waiting += below
    return tuple(found)
