"""How a drill goes: look, watch, break, wait, mend, wait again, read back, verify."""

from __future__ import annotations

from collections.abc import Sequence, Set
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from time import monotonic, time
from typing import Final

from groundplane.components.cluster.kubeconfig import identity
from groundplane.drill.faults import Ground, Scene
from groundplane.drill.journal import journals
from groundplane.drill.measure import judge, measure, moments
from groundplane.drill.model import Drill, DrillReport, Finding, Promise, Refused, Suite, Timeline
from groundplane.drill.pods import begin_pods
from groundplane.drill.probe import Watch, watching
from groundplane.drill.written import namespace, numbers
from groundplane.errors import ConditionTimeout, GroundplaneError
from groundplane.events import Emit, reported
from groundplane.topology.model import Topology
from groundplane.verify.check import Check
from groundplane.verify.condition import NotYet, wait_until
from groundplane.verify.report import run_checks

SUBJECT: Final = "drill"
WHOLE: Final = ("quorum", "pacemaker", "haproxy-backends", "etcd", "nodes", "control-plane-pods")
"""The checks that say whether the platform is whole; quick enough to be asked while clients are being watched."""
AT_ONCE: Final = 2
"""How many of them may be asked at a time then: clients of a computer that is busy with checks wait for them."""
ALREADY: Final = 60.0
"""Seconds a platform may take to be found whole before anything is broken: it may just have been started."""
STEADY: Final = 1.0
"""Seconds for which clients must have been served before a fault, and again after it."""
COMING_BACK: Final = 60.0
"""Seconds after which clients that still aren't served won't be."""
NODE_GONE: Final = 25.0
"""Seconds for which what pods ask may go to pods of a node that is gone: 17 until it is known
(``components/kubeadm/config.py``), one or two until every node's rules follow, and what a busy computer adds."""
CONTROL_PLANE_GONE: Final = 45.0
"""The same of a control plane: it may be the one whose controller manager looks after the nodes, and another one takes
up to 17 seconds to take that office, and begins to count then."""


@dataclass(slots=True)
class Course:
    """What a drill comes to while it runs."""

    undone: float | None = None
    healed: float | None = None
    findings: list[Finding] = field(default_factory=list)


async def run_drills(drills: Sequence[Drill], refused: Sequence[Refused], ground: Ground, emit: Emit) -> Suite:
    """Do the drills one after the other. The first that can't be done ends it; what was found before is kept."""
    reports: list[DrillReport] = []
    for drill in drills:
        try:
            reports.append(await run_drill(drill, ground, emit))
        except (GroundplaneError, ExceptionGroup) as error:
            if not reports:
                raise
            return Suite(tuple(reports), tuple(refused), stopped=f"{drill.name}: {error}")
    return Suite(tuple(reports), tuple(refused))


async def run_drill(drill: Drill, ground: Ground, emit: Emit) -> DrillReport:
    """Do the drill. What it finds is a report; an exception means that it could not be done, or not be mended."""
    reach, topology = ground.reach, ground.topology
    started, course = datetime.now(UTC), Course()
    await _require_whole(ground, emit)
    async with namespace(reach, topology) as objects, Scene(ground, emit) as scene:
        administrator = await identity(reach, topology)
        pods = await begin_pods(reach, topology, objects)
        async with watching(ground, administrator, objects, pods, scene.struck) as watch:
            with reported(emit, SUBJECT, "watch clients"):
                await watch.served(since=monotonic(), seconds=STEADY, deadline=COMING_BACK)
            await _break(drill, scene, watch, course, emit)
            await _heal(ground, watch, course, emit)
        assert scene.began is not None  # a drill whose inject() breaks nothing is a fault of ours
        timeline = await _timeline(drill, ground, watch, scene.began, course)
        figures = measure(timeline, drill.signs, await numbers(reach, topology))
    promise = _promised(drill.promise, topology, scene.struck)
    checks = await run_checks(ground.checks, reach, emit)
    return DrillReport(
        name=drill.name,
        title=drill.title,
        platform=topology.name,
        started=started,
        promise=promise,
        acts=tuple(scene.acts),
        figures=figures,
        findings=(*judge(figures, promise, checks), *course.findings),
        moments=moments(timeline, drill.signs),
        timeline=timeline,
        checks=checks,
    )


def _promised(promise: Promise, topology: Topology, struck: Set[str]) -> Promise:
    """What a drill promises, seen from pods of a platform on which it struck these machines."""
    if struck & {machine.name for machine in topology.control_planes}:
        return replace(promise, pods=max(promise.pods, CONTROL_PLANE_GONE))
    if struck & {machine.name for machine in topology.nodes}:
        return replace(promise, pods=max(promise.pods, NODE_GONE))
    return promise


async def _require_whole(ground: Ground, emit: Emit) -> None:
    """A drill on a platform that is broken already would measure something else, and might do harm."""
    report = await run_checks([replace(check, deadline=ALREADY) for check in _whole(ground)], ground.reach, emit)
    if not report.ok:
        raise GroundplaneError(
            "the platform isn't whole, so nothing is broken on purpose",
            where=ground.topology.name,
            hint="run `groundplane verify` and mend what it names, then drill again",
            detail="\n".join(f"{result.name}: {result.seen}" for result in report.broken),
        )


async def _break(drill: Drill, scene: Scene, watch: Watch, course: Course, emit: Emit) -> None:
    """Inject the fault, keep it for as long as the drill wants, and mend it."""
    with reported(emit, SUBJECT, f"break: {drill.name}") as outcome:
        await drill.inject(scene)
        outcome.note = "; ".join(scene.acts)
    injected = scene.began or monotonic()
    if not drill.outage:
        await _served(watch, injected, "clients are served while the fault is there", course, emit)
    await _hold(injected + drill.hold)
    if drill.during is not None:
        course.findings += await drill.during(scene)
    if await scene.mend():
        course.undone = monotonic()


async def _served(watch: Watch, since: float, title: str, course: Course, emit: Emit) -> bool:
    """Wait until clients are served, and return whether they are; a finding of this ``title`` where they aren't."""
    try:
        with reported(emit, SUBJECT, "wait until clients are served"):
            await watch.served(since=since, seconds=STEADY, deadline=COMING_BACK)
    except ConditionTimeout as late:
        course.findings.append(Finding(title, False, late.detail))
        return False
    return True


async def _hold(until: float) -> None:
    async def over() -> None:
        if monotonic() < until:
            raise NotYet("the fault stays for a while")

    await wait_until("the fault was there for long enough", over, deadline=until - monotonic() + 10, every=0.1)


async def _heal(ground: Ground, watch: Watch, course: Course, emit: Emit) -> None:
    """Wait until clients are served, and only then look whether the platform is whole: looking keeps clients of a small
    computer waiting, and what mends a fault may move the address once more."""
    served = await _served(watch, monotonic(), "clients are served in the end", course, emit)
    report = await run_checks(_whole(ground), ground.reach, emit, at_once=AT_ONCE)
    if report.ok and served:
        course.healed = monotonic()


def _whole(ground: Ground) -> Sequence[Check]:
    return [check for check in ground.checks if check.name in WHOLE]


async def _timeline(drill: Drill, ground: Ground, watch: Watch, began: float, course: Course) -> Timeline:
    lines = await journals(
        ground.reach, ground.topology.machines, drill.units, since=began, offset=time() - monotonic()
    )
    ended = watch.ended
    return Timeline(
        injected=began,
        undone=course.undone,
        healed=course.healed,
        ended=ended,
        requests=tuple(sorted(watch.requests, key=lambda sample: sample.at)),
        writes=tuple(sorted(watch.writes, key=lambda write: write.number)),
        answers=tuple(watch.answers),
        pods=watch.pods,
        journal=tuple(line for line in lines if line.at <= ended),
        names={machine.mac: machine.name for machine in ground.topology.machines},
    )
