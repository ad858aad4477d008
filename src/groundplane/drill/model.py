"""What a drill is, what is seen during one, and what comes of it. Frozen; nothing here touches a machine.

All moments are seconds of this computer's monotonic clock.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Final

from groundplane.verify.report import Report

if TYPE_CHECKING:
    from groundplane.drill.faults import Scene

EVERY: Final = 0.02
"""Seconds between two requests, and between two questions for the floating address."""
WRITE_EVERY: Final = 0.1
"""Seconds between two writes to the API: each of them costs every etcd member a synchronous write to its disk."""
SERVICE_EVERY: Final = 0.2
LOOK_UP_EVERY: Final = 0.1
"""Seconds between two requests of a pod to a Service, and between two names it looks up. Each request to the API's
Service costs a TLS handshake on both sides: what watching costs must not be what is measured."""
SLOW: Final = 0.25
"""Seconds from which on a request counts as slow."""


class Use(StrEnum):
    """What clients in pods use of the platform."""

    SERVICE = "Service"
    DNS = "DNS"


class Need(StrEnum):
    """What a drill asks of the platform and its ground."""

    STANDBY = "a second balancer"
    MAJORITY = "three control planes"
    VOTE = "two balancers and the gateway's vote"
    WORKER = "a worker that is nothing else"
    GATEWAY = "a gateway that is nothing else"
    CLOCK = "a machine with a clock of its own"
    DISK = "a machine with a disk of its own"


@dataclass(frozen=True, slots=True)
class Sample:
    """One request: when it began and how long it took; ``why`` says what went wrong where it isn't ``ok``."""

    at: float
    seconds: float
    ok: bool
    why: str = ""

    @property
    def end(self) -> float:
        return self.at + self.seconds


@dataclass(frozen=True, slots=True)
class Write:
    """One numbered object and the request to write it. ``ok``: the API acknowledged it."""

    number: int
    sample: Sample


@dataclass(frozen=True, slots=True)
class Answer:
    """One question for the floating address and every MAC address that answered it."""

    at: float
    macs: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class FromPod:
    """All that was asked from a pod on ``node``, for one use."""

    use: Use
    node: str
    samples: tuple[Sample, ...]


@dataclass(frozen=True, slots=True)
class JournalLine:
    """One line of a machine's journal."""

    at: float
    machine: str
    program: str
    text: str


@dataclass(frozen=True, slots=True)
class Sign:
    """A journal line that tells how far the platform is: the first whose ``program`` and text match.

    ``pattern`` is a regular expression (re.search). ``detects``: the fault is noticed with it.
    """

    title: str
    program: str
    pattern: str
    detects: bool = False


@dataclass(frozen=True, slots=True)
class Moment:
    """A named point of the timeline; ``where`` is the machine it was seen on, empty for the drill's own acts."""

    at: float
    title: str
    where: str = ""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that must hold in a drill, and what was seen."""

    title: str
    ok: bool
    seen: str


@dataclass(frozen=True, slots=True)
class Timeline:
    """All that was seen, from before the fault until the platform was whole again.

    ``undone`` is when the drill had mended its own fault, None where there was nothing to mend. ``healed`` is None
    where the platform didn't become whole in time. ``pods`` are those on nodes that the fault itself didn't strike.
    ``names`` maps MAC addresses to machines.
    """

    injected: float
    undone: float | None
    healed: float | None
    ended: float
    requests: tuple[Sample, ...]
    writes: tuple[Write, ...]
    answers: tuple[Answer, ...]
    pods: tuple[FromPod, ...] = ()
    journal: tuple[JournalLine, ...] = ()
    names: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class UseFigures:
    """What pods noticed of the fault in one use, counted from it; ``nodes`` are where they were.

    ``gap_seconds`` is the longest time in which a pod had no good answer, ``longest_seconds`` what the slowest request
    took, one that failed included. ``failing_seconds`` is when the last request began that failed before the drill
    mended its fault, None where none did: behind a Service some answer all the time, and others don't for long.
    """

    use: Use
    nodes: tuple[str, ...]
    requests: int
    failed_requests: int
    slow_requests: int
    gap_seconds: float
    longest_seconds: float
    failing_seconds: float | None


@dataclass(frozen=True, slots=True)
class Figures:
    """What was measured. Durations in seconds, counted from the fault but for the gap itself.

    ``gap_seconds`` is the longest time between two good answers: what a client that tries again every 20 ms waits.
    ``gap_from`` is when the last good answer before it came. ``takeover_seconds`` is when the first gap was over, None
    where there was none to speak of; ``moved_seconds`` when another machine first answered for the floating address.
    """

    gap_seconds: float
    gap_from: float
    usual_seconds: float
    requests: int
    failed_requests: int
    slow_requests: int
    acknowledged_writes: int
    lost_writes: int
    questions: int
    double_address: bool
    detect_seconds: float | None
    moved_seconds: float | None
    takeover_seconds: float | None
    healed_seconds: float | None
    from_pods: tuple[UseFigures, ...] = ()


@dataclass(frozen=True, slots=True)
class Promise:
    """What clients may have to bear in a drill: the longest gap in seconds, and whether a request may fail.

    ``pods``: how many seconds after the fault requests from pods may still fail, where no node is struck by it.
    """

    gap: float
    may_fail: bool = True
    pods: float = 2.0


@dataclass(frozen=True, slots=True)
class Drill:
    """One fault, and how the platform is to be looked at while it is there.

    ``inject`` breaks something through the Scene and returns when it is broken. The fault stays for at least ``hold``
    seconds, and until clients are served again unless ``outage``; the Scene then mends what it broke. ``during`` is
    asked while the fault is there. ``units`` are the systemd units whose journals tell the story.
    """

    name: str
    title: str
    risk: str
    promise: Promise
    inject: Callable[[Scene], Awaitable[None]]
    needs: tuple[Need, ...] = ()
    hold: float = 0.0
    outage: bool = False
    units: tuple[str, ...] = ()
    signs: tuple[Sign, ...] = ()
    during: Callable[[Scene], Awaitable[tuple[Finding, ...]]] | None = None


@dataclass(frozen=True, slots=True)
class DrillReport:
    """How a drill went. ``acts`` are the drill's own doings in words; ``checks`` is the verification after it."""

    name: str
    title: str
    platform: str
    started: datetime
    promise: Promise
    acts: tuple[str, ...]
    figures: Figures
    findings: tuple[Finding, ...]
    moments: tuple[Moment, ...]
    timeline: Timeline
    checks: Report

    @property
    def ok(self) -> bool:
        return all(finding.ok for finding in self.findings)


@dataclass(frozen=True, slots=True)
class Refused:
    """A drill that can't be done on this platform, and why."""

    name: str
    reason: str


@dataclass(frozen=True, slots=True)
class Suite:
    """Several drills, one after the other. ``stopped``: which one could not be done, and why nothing followed it."""

    reports: tuple[DrillReport, ...]
    refused: tuple[Refused, ...] = ()
    stopped: str = ""

    @property
    def ok(self) -> bool:
        return not self.stopped and all(report.ok for report in self.reports)
