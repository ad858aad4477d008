"""A drill's story made by hand: the balancer lb1 dies at 100 s, lb2 answers from 100.8 s on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from functools import cache
from ipaddress import IPv4Address
from pathlib import Path
from typing import Final

from tests.golden.laid_out import cases

from groundplane.drill.catalogue import DRILLS
from groundplane.drill.measure import judge, measure, moments
from groundplane.drill.model import Answer, Drill, DrillReport, FromPod, JournalLine, Sample, Timeline, Use, Write
from groundplane.machines.base import Blueprint, MachineStatus
from groundplane.spec.roles import Role
from groundplane.topology.model import Topology, Traits
from groundplane.transport.fake import FakeTransport
from groundplane.verify.report import Report, Result

FAULT: Final = 100.0
NAMES: Final[Mapping[str, str]] = {"aa": "lb1", "bb": "lb2"}
CRASH: Final = next(drill for drill in DRILLS if drill.name == "balancer-crash")
HEALTHY: Final = Report((Result("nodes", "all nodes are ready", True, "5 of 5", 1.5),))


class Hands:
    """An operator who only notes what he was asked in ``asked``. What is offered is refused, quoted."""

    def __init__(self, asked: list[str]) -> None:
        self.asked = asked

    async def offer(self, machine: str, path: str, content: bytes) -> str:
        self.asked.append(f"offer {machine} {path}")
        return f"{machine}: haproxy does not accept {path}\n{content.decode()}"

    async def make_anew(self, machine: str) -> None:
        self.asked.append(f"make {machine} anew")

    async def add(self, roles: Sequence[Role]) -> None:
        self.asked.append(f"add {' '.join(roles)}")

    async def take_away(self) -> None:
        self.asked.append("take away")


@cache
def topology(*, everything: bool = False) -> Topology:
    """The example's platform in a lab, or on machines that are their own masters."""
    lab = cases()["lab"]
    return replace(lab, traits=Traits()) if everything else lab


def requests(*, dead: Sequence[tuple[float, float]] = ((100.0, 100.8),), until: float = 104.0) -> tuple[Sample, ...]:
    """One every 20 ms from 99 s on, each answered in 5 ms; those that begin in a ``dead`` time never are."""
    found = []
    for number in range(round((until - 99) * 50)):
        at = 99 + number * 0.02
        if any(begin <= at < end for begin, end in dead):
            found.append(Sample(at, 2.0, False, "no answer within 2 s"))
        else:
            found.append(Sample(at, 0.005, True))
    return tuple(found)


def answers(*, double: bool = False) -> tuple[Answer, ...]:
    """lb1 until the fault, nobody, lb2 from 100.8 s on; both at once just then where ``double``."""
    found = [Answer(99 + number * 0.02, ("aa",)) for number in range(50)]
    found += [Answer(100 + number * 0.02, ()) for number in range(40)]
    found += [Answer(100.8 + number * 0.02, ("bb",)) for number in range(160)]
    return tuple(replace(entry, macs=("aa", "bb")) if double and entry.at == 100.8 else entry for entry in found)


def pods(*, hanging: Sequence[float] = ()) -> tuple[FromPod, ...]:
    """Two pods that ask five times a second and look names up ten times, from 99 s to 104 s; what begins at one of the
    moments ``hanging`` on worker2, of either kind, has no answer."""

    def samples(every: float, node: str) -> tuple[Sample, ...]:
        times = [round(99 + number * every, 3) for number in range(round(5 / every))]
        return tuple(
            Sample(at, 2.0, False, "no answer within 2 s")
            if node == "worker2" and at in hanging
            else Sample(at, 0.01, True)
            for at in times
        )

    return tuple(
        FromPod(use, node, samples(every, node))
        for use, every in ((Use.SERVICE, 0.2), (Use.DNS, 0.1))
        for node in ("worker2", "cp3")
    )


def timeline(
    *, dead: Sequence[tuple[float, float]] = ((100.0, 100.8),), healed: float | None = 103.5, double: bool = False
) -> Timeline:
    writes = tuple(Write(n, Sample(99 + n * 0.1, 0.02, not 10 <= n < 18, "refused")) for n in range(50))
    return Timeline(
        injected=FAULT,
        undone=102.0,
        healed=healed,
        ended=104.0,
        requests=requests(dead=dead),
        writes=writes,
        answers=answers(double=double),
        pods=pods(),
        journal=(
            JournalLine(99.5, "lb2", "corosync", "[TOTEM ] Token has not been received in 300 ms"),
            JournalLine(100.3, "lb2", "corosync", "[TOTEM ] Token has not been received in 300 ms"),
            JournalLine(100.5, "lb2", "corosync", "[TOTEM ] A new membership (2.11) was formed. Members left: 1"),
            JournalLine(
                100.7, "lb2", "pacemaker-controld", "<b>Initiating start operation floating-address_start_0</b>"
            ),
        ),
        names=NAMES,
    )


def report(
    seen: Timeline | None = None, *, drill: Drill = CRASH, checks: Report = HEALTHY, lost: int = 0
) -> DrillReport:
    seen = seen or timeline()
    written = [write.number for write in seen.writes if write.sample.ok][lost:]
    figures = measure(seen, drill.signs, written)
    return DrillReport(
        name=drill.name,
        title=drill.title,
        platform="lab",
        started=datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC),
        promise=drill.promise,
        acts=("lb1: power cut", "then: switch lb1 on"),
        figures=figures,
        findings=judge(figures, drill.promise, checks),
        moments=moments(seen, drill.signs),
        timeline=seen,
        checks=checks,
    )


class Breakable:
    """A provider that can be drilled and only remembers what it was asked."""

    def __init__(self) -> None:
        self.transport = FakeTransport()
        self.asked: list[str] = []
        self.operator_address = IPv4Address("10.80.0.191")
        self.error: Exception | None = None

    def _note(self, words: str) -> None:
        self.asked.append(words)
        if self.error is not None:
            raise self.error

    async def prepare(self) -> None:
        self._note("prepare")

    async def ensure(self, machine: str, blueprint: Blueprint) -> bool:
        self._note(f"ensure {machine}")
        return True

    async def wait_ready(self, machine: str, *, deadline: float = 180, strict: bool = True) -> str:
        self._note(f"wait {machine}")
        return "running"

    async def stop(self, machine: str, *, force: bool = False) -> None:
        self._note(f"stop {machine}{' at once' if force else ''}")

    async def remove(self, machine: str) -> None:
        self._note(f"remove {machine}")

    async def destroy(self) -> None:
        self._note("destroy")

    def remains(self) -> bool:
        return True

    def status(self) -> tuple[MachineStatus, ...]:
        return ()

    def console(self, machine: str) -> Path:
        return Path(machine)

    def api_endpoint(self) -> tuple[str, int]:
        return "127.0.0.1", 1

    def on_lan(self, argv: Sequence[str]) -> tuple[str, ...]:
        return ("in-the-lan", *argv)

    async def freeze(self, machine: str) -> None:
        self._note(f"freeze {machine}")

    async def thaw(self, machine: str) -> None:
        self._note(f"thaw {machine}")

    async def cut(self, machine: str, peer: str = "") -> None:
        self._note(f"cut {machine} from {peer or 'all'}")

    async def mend(self) -> None:
        self._note("mend")
