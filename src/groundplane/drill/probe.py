"""The probers: programs that look at the platform while something is broken, on this computer from the platform's LAN,
on some of its nodes from the network of a pod there.

async with watching(ground, identity, namespace, pods, struck) as watch:
    await watch.served(since=..., seconds=1, deadline=30)
    ...
watch.requests, watch.writes, watch.answers, watch.pods         # all that was seen
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Collection, Iterator, Mapping, Sequence
from contextlib import aclosing, asynccontextmanager, suppress
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from time import monotonic
from typing import Final, Generic, TypeVar

from groundplane.components.podnet.look import CLUSTER_NAME
from groundplane.drill.faults import Ground
from groundplane.drill.measure import steady
from groundplane.drill.model import (
    EVERY,
    LOOK_UP_EVERY,
    SERVICE_EVERY,
    WRITE_EVERY,
    Answer,
    FromPod,
    Sample,
    Use,
    Write,
)
from groundplane.drill.pods import Pod
from groundplane.drill.remote.ask_server import Task
from groundplane.errors import HostError, TransportError
from groundplane.topology.model import KeyPair, Topology
from groundplane.transport.base import Transport
from groundplane.verify.condition import NotYet, wait_until

T = TypeVar("T")

EVERY_USE: Final[Mapping[Use, float]] = {Use.SERVICE: SERVICE_EVERY, Use.DNS: LOOK_UP_EVERY}

PATIENCE: Final = 2.0
"""Seconds a client waits for an answer: long enough for a lost first packet to be sent again after one."""
WRITE_PATIENCE: Final = 5.0
ENDING: Final = 10.0
"""Seconds a prober may take to end: its last request takes WRITE_PATIENCE at most."""
LONGEST: Final = 3600.0
"""Seconds after which a prober in a pod ends, whatever the drill does."""
POD_STEADY: Final = PATIENCE + 2.0
"""Seconds for which all that pods ask must have been answered well. One that hangs is known to after PATIENCE only, and
of three servers behind a Service a dead one may be left out for a second by chance."""
_REMOTE: Final = Path(__file__).parent / "remote"
_IN_POD: Final = """\
pid=$(grep -lE "$1" /proc/[0-9]*/cgroup 2>/dev/null | head -n 1 | cut -d / -f 3)
[ -n "$pid" ] || { echo "no process of the pod is on this node" >&2; exit 1; }
exec nsenter --net="/proc/$pid/ns/net" python3 -I -S -c "$2"
"""
"""All processes of such a pod are on its network, and in control groups that bear its UID."""


@dataclass(slots=True)
class Watch:
    """What the probers have seen so far; it grows while they run."""

    requests: list[Sample] = field(default_factory=list)
    writes: list[Write] = field(default_factory=list)
    answers: list[Answer] = field(default_factory=list)
    probers: tuple[PodProber, ...] = ()
    struck: Collection[str] = ()
    ended: float = 0.0
    clock: Callable[[], float] = monotonic

    @property
    def pods(self) -> tuple[FromPod, ...]:
        """What pods saw on nodes that nothing was done to."""
        return tuple(
            FromPod(prober.use, prober.node, tuple(sorted(prober.seen, key=lambda sample: sample.at)))
            for prober in self._unstruck
        )

    @property
    def _unstruck(self) -> Iterator[PodProber]:
        return (prober for prober in self.probers if prober.node not in self.struck)

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
            for prober in self._unstruck:
                if now - since < POD_STEADY:
                    raise NotYet("it is too early to say")
                if not steady(prober.seen, now, seconds=POD_STEADY, every=EVERY_USE[prober.use]):
                    why = next((f": {sample.why}" for sample in reversed(prober.seen) if not sample.ok), "")
                    raise NotYet(f"from a pod on {prober.node}, {prober.use} isn't always answered in time{why}")

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
    ground: Ground, administrator: KeyPair, namespace: str, pods: Sequence[Pod], struck: Collection[str]
) -> AsyncIterator[Watch]:
    """Probers that run while the block does. ``namespace`` is where objects are written to; on machines that are
    ``struck`` in the end, pods had to see nothing."""
    topology, on_lan = ground.topology, ground.lan.on_lan
    transport = ground.provider.transport
    watch = Watch(
        probers=tuple(PodProber(transport, pod, use, task) for pod in pods for use, task in _uses(topology).items()),
        struck=struck,
    )
    floating, own = str(topology.lan.floating), str(ground.lan.operator_address)
    reading = Task(
        address=floating,
        port=topology.api_port,
        name=topology.api_host,
        every=EVERY,
        timeout=PATIENCE,
        authority=topology.secrets.kubernetes_ca.certificate.decode(),
    )
    writing = replace(
        reading,
        every=WRITE_EVERY,
        timeout=WRITE_PATIENCE,
        certificate=administrator.certificate.decode(),
        key=administrator.key.text(),
        namespace=namespace,
    )
    probers: tuple[PodProber | Prober[Sample] | Prober[Write] | Prober[Answer], ...] = (
        *watch.probers,
        Prober(on_lan(program("ask_server.py")), read_sample, watch.requests, asdict(reading)),
        Prober(on_lan(program("ask_server.py")), read_write, watch.writes, asdict(writing)),
        Prober(on_lan(program("ask_lan.py", floating, own, str(EVERY))), read_answer, watch.answers),
    )
    try:
        for prober in probers:
            await prober.start()
        yield watch
    finally:
        watch.ended = monotonic()
        await asyncio.gather(*(prober.stop() for prober in probers))
    for prober in watch.probers:
        if prober.failure is not None and prober.node not in struck:
            raise _too_early(prober.node, str(prober.failure))


def _uses(topology: Topology) -> dict[Use, Task]:
    """What a pod asks again and again: the API by its Service, which every cluster has, and CoreDNS by its own, to
    which kubeadm gives the tenth address."""
    services = topology.spec.kubernetes.services
    return {
        Use.SERVICE: Task(
            address=str(services[1]),
            port=443,
            name=CLUSTER_NAME,
            every=SERVICE_EVERY,
            timeout=PATIENCE,
            authority=topology.secrets.kubernetes_ca.certificate.decode(),
            lasting=True,
        ),
        Use.DNS: Task(
            address=str(services[10]), port=53, name=CLUSTER_NAME, every=LOOK_UP_EVERY, timeout=PATIENCE, lasting=True
        ),
    }


def _too_early(where: str, detail: str) -> HostError:
    return HostError("a prober of the drill ended too early", where=where, detail=detail)


class PodProber:
    """``ask_server.py`` in the network of a pod. ``failure``: why it ended by itself, None while it runs."""

    def __init__(self, transport: Transport, pod: Pod, use: Use, task: Task) -> None:
        self.use = use
        self.node = pod.node
        self.seen: list[Sample] = []
        self.failure: TransportError | None = None
        self._lines = transport.stream(
            pod.node,
            in_pod(pod.uid, (_REMOTE / "ask_server.py").read_text(encoding="utf-8")),
            stdin=json.dumps(asdict(task)).encode() + b"\n",
            timeout=LONGEST,
        )
        self._reading: asyncio.Task[None] | None = None

    async def start(self) -> None:
        self._reading = asyncio.create_task(self._collect(self._lines))

    async def stop(self) -> None:
        if self._reading is not None:
            self._reading.cancel()
            with suppress(asyncio.CancelledError):
                await self._reading

    async def _collect(self, lines: AsyncGenerator[bytes, None]) -> None:
        offset: float | None = None
        try:
            async with aclosing(lines):
                async for line in lines:
                    if offset is None:  # a machine with a kernel of its own has a clock of its own
                        offset = monotonic() - json.loads(line)["clock"]
                        continue
                    sample = read_sample(line.decode())
                    self.seen.append(replace(sample, at=sample.at + offset))
        except TransportError as error:
            self.failure = error


def in_pod(uid: str, text: str) -> tuple[str, ...]:
    """The argv that runs a program of ours on a node, in the network of the pod with that UID. Container runtimes write
    a UID with dashes, systemd with underscores."""
    return ("sh", "-c", _IN_POD, "in-pod", uid.replace("-", "[-_]"), text)


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
            raise _too_early("this computer", words)

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
