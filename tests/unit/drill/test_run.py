"""A drill from beginning to end, with probers that see what the test says."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from time import monotonic
from typing import Any

import pytest
from tests.unit.drill.made import Breakable, Hands, topology

from groundplane.drill import run
from groundplane.drill.faults import Ground, Scene, ground_of
from groundplane.drill.model import Answer, Drill, Finding, Promise, Refused, Sample, Write
from groundplane.drill.pods import Pod
from groundplane.drill.probe import Watch
from groundplane.drill.run import CONTROL_PLANE_GONE, NODE_GONE, WHOLE, _promised, run_drill, run_drills
from groundplane.errors import ConditionTimeout, GroundplaneError
from groundplane.events import silent
from groundplane.state.step import Reach
from groundplane.topology.model import KeyPair, Secret
from groundplane.verify.check import Check
from groundplane.verify.condition import NotYet


async def _freeze(scene: Scene) -> None:
    await scene.freeze(scene.topology.balancers[0])


async def _during(scene: Scene) -> tuple[Finding, ...]:
    return (Finding("seen while it was broken", True, f"{len(scene.running)} run"),)


DRILL = Drill("made-up", "A made-up fault", "none", Promise(gap=60), _freeze, units=("x.service",), during=_during)


class Prompt(Watch):
    """Clients that are served whenever it is asked, until ``patience`` is used up."""

    patience = 99

    async def served(self, *, since: float, seconds: float, deadline: float) -> None:
        now = monotonic()
        self.requests.append(Sample(now, 0.001, True))
        self.writes.append(Write(len(self.writes), Sample(now, 0.001, True)))
        self.answers.append(Answer(now, ("52:54:00:00:00:01",)))
        if not self.patience:
            raise ConditionTimeout("clients are served", detail="last seen: requests fail: refused")
        self.patience -= 1


class World:
    """A provider, checks that hold unless they are ``broken``, and a cluster that has what was ``written``."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.provider = Breakable()
        self.watch = Prompt()
        self.broken: set[str] = set()
        self.written: range = range(10)
        self.asked: list[str] = []
        self.provider.transport.on("*", "kubectl")
        self.provider.transport.on("*", "sh", "-c")
        items = {"items": [{"metadata": {"name": "kube-root-ca.crt"}, "data": {"ca.crt": "x"}}]}
        self.provider.transport.on(
            "*", "kubectl", "--kubeconfig=/etc/kubernetes/admin.conf", "--request-timeout=15s", "get", "configmaps",
            then=lambda _: self._listed(items),
        )  # fmt: skip
        monkeypatch.setattr(run, "watching", self._watching)
        monkeypatch.setattr(run, "identity", self._identity)
        monkeypatch.setattr(run, "begin_pods", self._begin_pods)

    def _listed(self, items: dict[str, list[dict[str, Any]]]) -> Any:
        from groundplane.state.step import Completed

        written = [{"metadata": {"name": f"write-{n}"}, "data": {"number": str(n)}} for n in self.written]
        return Completed(0, json.dumps({"items": items["items"] + written}).encode(), b"")

    @asynccontextmanager
    async def _watching(self, *_: object) -> AsyncIterator[Watch]:
        yield self.watch
        self.watch.ended = monotonic()

    async def _begin_pods(self, *_: object) -> tuple[Pod, ...]:
        return (Pod("1-2", "worker2"),)

    async def _identity(self, *_: object) -> KeyPair:
        return KeyPair(b"certificate", Secret(b"key"))

    def ground(self) -> Ground:
        async def probe(name: str, _: Reach) -> str:
            self.asked.append(name)
            if name in self.broken:
                raise NotYet("it is broken")
            return "fine"

        def check(name: str) -> Check:
            async def asked(reach: Reach) -> str:
                return await probe(name, reach)

            return Check(name, f"{name} must hold", 0.1, "mend it", asked)

        return ground_of(topology(), self.provider, (), [check(name) for name in (*WHOLE, "names")], Hands([]))


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> World:
    return World(monkeypatch)


def test_a_drill_breaks_mends_heals_and_verifies(world: World) -> None:
    report = asyncio.run(run_drill(DRILL, world.ground(), silent))
    assert report.ok, report.findings
    assert world.provider.asked == ["freeze lb1", "thaw lb1"]
    assert report.acts == ("lb1: every process stands still", "then: thaw lb1")
    assert report.timeline.undone is not None
    assert report.timeline.healed is not None
    assert report.timeline.injected <= report.timeline.undone <= report.timeline.healed <= report.timeline.ended
    assert {result.name for result in report.checks.results} == {*WHOLE, "names"}
    assert report.findings[-1] == Finding("seen while it was broken", True, "8 run")
    assert report.figures.acknowledged_writes == 3
    assert report.figures.lost_writes == 0


def test_pods_may_notice_a_node_that_is_gone_for_as_long_as_that_takes() -> None:
    promise = Promise(gap=1, pods=3)

    def seconds(*struck: str) -> float:
        return _promised(promise, topology(), set(struck)).pods

    assert seconds() == seconds("lb1", "gateway") == 3
    assert seconds("worker1", "lb1") == NODE_GONE
    assert seconds("worker1", "cp1") == CONTROL_PLANE_GONE > NODE_GONE


def test_the_namespace_is_made_and_removed(world: World) -> None:
    asyncio.run(run_drill(DRILL, world.ground(), silent))
    words = [" ".join(argv[3:]) for argv in world.provider.transport.commands() if argv[0] == "kubectl"]
    delete = "delete namespace/groundplane-drill --ignore-not-found --wait=false"
    assert [word for word in words if not word.startswith("get")] == [delete, "apply --filename=-", delete]
    assert words.index("get configmaps --namespace=groundplane-drill --output=json") < len(words) - 1


def test_nothing_is_broken_on_a_platform_that_is_not_whole(world: World) -> None:
    world.broken = {"quorum"}
    with pytest.raises(GroundplaneError, match="isn't whole") as caught:
        asyncio.run(_short(world))
    assert "quorum: last seen: it is broken" in caught.value.detail
    assert world.provider.asked == []
    assert world.provider.transport.calls == []


async def _short(world: World) -> None:
    """As ``run_drill``, with no patience for a platform that isn't whole."""
    before = run.ALREADY
    run.ALREADY = 0.1  # type: ignore[misc]
    try:
        await run_drill(DRILL, world.ground(), silent)
    finally:
        run.ALREADY = before  # type: ignore[misc]


def test_clients_that_are_not_served_again_are_a_finding_and_the_fault_is_mended(world: World) -> None:
    world.watch.patience = 1
    report = asyncio.run(run_drill(DRILL, world.ground(), silent))
    assert not report.ok
    assert world.provider.asked == ["freeze lb1", "thaw lb1"]
    assert report.timeline.healed is None
    seen = {finding.title: finding.seen for finding in report.findings if not finding.ok}
    assert seen["clients are served while the fault is there"] == "last seen: requests fail: refused"
    assert "clients are served in the end" in seen
    assert "the platform heals" in seen


def test_in_an_outage_nobody_waits_for_clients_before_it_is_mended(world: World) -> None:
    world.watch.patience = 2
    report = asyncio.run(run_drill(replace(DRILL, outage=True), world.ground(), silent))
    assert report.ok
    assert world.watch.patience == 0


def test_a_platform_that_does_not_heal_is_a_finding(world: World) -> None:
    async def freeze_for_good(scene: Scene) -> None:
        await scene.freeze(scene.topology.balancers[0])
        world.broken = {"pacemaker"}

    report = asyncio.run(run_drill(replace(DRILL, inject=freeze_for_good), world.ground(), silent))
    assert [finding.title for finding in report.findings if not finding.ok] == [
        "the platform heals",
        "every check holds afterwards",
    ]


def test_a_write_that_is_gone_is_found(world: World) -> None:
    world.written = range(1, 10)
    report = asyncio.run(run_drill(DRILL, world.ground(), silent))
    assert report.figures.lost_writes == 1
    assert not report.ok


def test_a_drill_that_breaks_down_is_mended_and_cleaned_up(world: World) -> None:
    async def breaks_down(scene: Scene) -> None:
        await scene.cut(scene.topology.balancers[0])
        raise GroundplaneError("something else")

    with pytest.raises(GroundplaneError, match="something else"):
        asyncio.run(run_drill(replace(DRILL, inject=breaks_down), world.ground(), silent))
    assert world.provider.asked == ["cut lb1 from all", "mend"]
    assert world.provider.transport.commands()[-2][3:5] == ("delete", "namespace/groundplane-drill")


def test_what_is_found_wrong_meanwhile_does_not_keep_a_platform_from_being_whole(world: World) -> None:
    async def wrong(_: Scene) -> tuple[Finding, ...]:
        return (Finding("names are kept", False, "cp1 lost its names"),)

    report = asyncio.run(run_drill(replace(DRILL, during=wrong), world.ground(), silent))
    assert report.timeline.healed is not None
    assert [finding.title for finding in report.findings if not finding.ok] == ["names are kept"]


def test_a_suite_keeps_what_it_found_before_a_drill_could_not_be_done(world: World) -> None:
    async def breaks_down(_: Scene) -> None:
        raise GroundplaneError("nobody leads etcd")

    broken = replace(DRILL, name="broken", inject=breaks_down)
    refused = (Refused("clock-jump", "no clock"),)
    suite = asyncio.run(run_drills((DRILL, broken, DRILL), refused, world.ground(), silent))
    assert [report.name for report in suite.reports] == ["made-up"]
    assert (suite.stopped, suite.ok, suite.refused) == ("broken: nobody leads etcd", False, refused)
    whole = asyncio.run(run_drills((DRILL, DRILL), (), world.ground(), silent))
    assert (len(whole.reports), whole.ok, whole.stopped) == (2, True, "")
    with pytest.raises(GroundplaneError, match="nobody leads"):
        asyncio.run(run_drills((broken, DRILL), (), world.ground(), silent))
