"""The probers: programs on this computer that look at the platform from its LAN while something is broken.

async with watching(ground, identity) as watch:
    await watch.served(since=..., seconds=1, deadline=30)
    ...
watch.requests, watch.writes, watch.answers         # all that was seen
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from time import monotonic
from typing import Final, Generic, TypeVar

from groundplane.drill.measure import steady
from groundplane.drill.model import EVERY, WRITE_EVERY, Answer, Sample, Write
from groundplane.drill.remote.ask_api import Task
from groundplane.errors import HostError
from groundplane.topology.model import KeyPair, Topology
from groundplane.verify.condition import NotYet, wait_until

T = TypeVar("T")

PATIENCE: Final = 2.0
"""Seconds a client waits for an answer: long enough for a lost first packet to be sent again after one."""
WRITE_PATIENCE: Final = 5.0
ENDING: Final = 10.0
"""Seconds a prober may take to end: its last request takes WRITE_PATIENCE at most."""
_REMOTE: Final = Path(__file__).parent / "remote"

OnLan = Callable[[Sequence[str]], tuple[str, ...]]


@dataclass(slots=True)
class Watch:
    """What the probers have seen so far; it grows while they run."""

    requests: list[Sample] = field(default_factory=list)
    writes: list[Write] = field(default_factory=list)
    answers: list[Answer] = field(default_factory=list)
    ended: float = 0.0
    clock: Callable[[], float] = monotonic

    async def served(self, *, since: float, seconds: float, deadline: float) -> None:
        """Wait until clients have been served for ``seconds``, after ``since``. Raises ConditionTimeout."""

        async def probe() -> None:
            now = self.clock()
            writing = [write.sample for write in self.writes]
            if now - since < seconds:
                raise NotYet("it is too early to say")
            if not steady(self.requests, now, seconds=seconds, every=EVERY):
                last = next((sample for sample in reversed(self.requests) if not sample.ok), None)
                raise NotYet(f"requests fail: {last.why}" if last is not None else "requests aren't answered in time")
            if not steady(writing, now, seconds=seconds, every=WRITE_EVERY):
                last = next((sample for sample in reversed(writing) if not sample.ok), None)
                raise NotYet(f"writes fail: {last.why}" if last is not None else "writes aren't acknowledged in time")
            if not self.answers or len(self.answers[-1].macs) != 1:
                raise NotYet("not exactly one machine answers for the floating address")

        await wait_until(
            "clients are served",
            probe,
            deadline=deadline,
            every=0.05,
            where="platform",
            hint="see `groundplane status`, and `groundplane verify` for what to do",
        )


@asynccontextmanager
async def watching(
    topology: Topology, port: int, identity: KeyPair, namespace: str, on_lan: OnLan, own: str
) -> AsyncIterator[Watch]:
    """Probers that run while the block does. ``own`` is this computer's address on the LAN, ``identity`` an
    administrator's, ``namespace`` where objects are written to."""
    watch = Watch()
    floating = str(topology.lan.floating)
    reading = Task(
        address=floating,
        port=port,
        name=topology.api_host,
        every=EVERY,
        timeout=PATIENCE,
        authority=topology.secrets.kubernetes_ca.certificate.decode(),
    )
    writing = Task(
        address=floating,
        port=port,
        name=topology.api_host,
        every=WRITE_EVERY,
        timeout=WRITE_PATIENCE,
        authority=reading.authority,
        certificate=identity.certificate.decode(),
        key=identity.key.text(),
        namespace=namespace,
    )
    probers = (
        Prober(on_lan(program("ask_api.py")), read_sample, watch.requests, asdict(reading)),
        Prober(on_lan(program("ask_api.py")), read_write, watch.writes, asdict(writing)),
        Prober(on_lan(program("ask_lan.py", floating, own, str(EVERY))), read_answer, watch.answers),
    )
    try:
        for prober in probers:
            await prober.start()
        yield watch
    finally:
        watch.ended = monotonic()
        await asyncio.gather(*(prober.stop() for prober in probers))


class Prober(Generic[T]):
    """One such program: what each of its lines says is appended to ``seen``."""

    def __init__(
        self, argv: Sequence[str], read: Callable[[str], T], seen: list[T], task: dict[str, object] | None = None
    ) -> None:
        self._argv = argv
        self._read = read
        self._seen = seen
        self._task = task
        self._process: asyncio.subprocess.Process | None = None
        self._reading: asyncio.Task[None] | None = None

    async def start(self) -> None:
        self._process = await asyncio.create_subprocess_exec(
            *self._argv,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            start_new_session=True,  # Ctrl-C is for us: it ends with its standard input, when all is mended
        )
        assert self._process.stdin is not None
        if self._task is not None:
            self._process.stdin.write(json.dumps(self._task).encode() + b"\n")
        self._reading = asyncio.create_task(self._collect(self._process))

    async def stop(self) -> None:
        """Let it finish what it has under way. HostError where it had ended by itself: then nothing was measured."""
        if self._process is None or self._reading is None:
            return
        failed = self._process.returncode is not None
        assert self._process.stdin is not None
        assert self._process.stderr is not None
        self._process.stdin.close()
        try:
            async with asyncio.timeout(ENDING):
                await self._reading
                words = (await self._process.stderr.read()).decode(errors="replace")
                await self._process.wait()
        except TimeoutError:
            words = ""
        finally:
            with suppress(ProcessLookupError):
                self._process.kill()
            self._reading.cancel()
        if failed:
            raise HostError("a prober of the drill ended too early", where="this computer", detail=words)

    async def _collect(self, process: asyncio.subprocess.Process) -> None:
        assert process.stdout is not None
        async for line in process.stdout:
            self._seen.append(self._read(line.decode()))


def program(name: str, *arguments: str) -> tuple[str, ...]:
    """The argv of one of our programs: isolated from the user's Python settings, without site packages."""
    return (sys.executable, "-I", "-S", str(_REMOTE / name), *arguments)


def read_sample(line: str) -> Sample:
    entry = json.loads(line)
    return Sample(entry["at"], entry["seconds"], entry["ok"], entry["why"])


def read_write(line: str) -> Write:
    return Write(json.loads(line)["number"], read_sample(line))


def read_answer(line: str) -> Answer:
    entry = json.loads(line)
    return Answer(entry["at"], tuple(entry["macs"]))
