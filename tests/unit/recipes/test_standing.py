"""``verify``, ``drain`` and ``undrain``, whole: what is remembered of it, and what the cluster is asked for."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from dataclasses import dataclass, field, replace

import pytest
from tests.unit.recipes.world import PATIENCE as LOOKS
from tests.unit.recipes.world import SMALL, World

from groundplane import recipes
from groundplane.components.cluster.api import DRAINED
from groundplane.errors import ConditionTimeout, LockHeld, UsageError
from groundplane.events import Event, Noticed
from groundplane.machines.base import Power
from groundplane.recipes.standing import PATIENCE
from groundplane.state.step import Completed
from groundplane.transport.fake import Call
from groundplane.verify import Report


def verified(world: World, *only: str) -> Report:
    return world.run(recipes.verify(world.options, only))


def test_what_verify_finds_is_remembered(built: World) -> None:
    before = built.truth()
    built.red.add("proxy")
    assert verified(built).fault == "proxy failed"
    found = built.plan()
    assert (found.unverified, found.empty, found.machines, found.steps) == (True, False, (), ())
    built.red.clear()
    assert verified(built, "proxy").ok
    assert built.plan().unverified, "a part that holds says nothing of the rest"
    assert verified(built).ok
    assert built.plan().empty
    assert built.truth() == before


def test_a_part_that_does_not_hold_is_enough(built: World) -> None:
    built.red.add("proxy")
    assert verified(built, "names").ok
    assert built.plan().empty
    assert not verified(built, "proxy").ok
    assert built.plan().unverified


def beside(world: World, seconds: float, then: Callable[[], None] = lambda: None) -> list[str]:
    """What is told of a verify while somebody else works on the platform for so long, and does ``then`` at last."""
    told: list[Event] = []

    async def work() -> None:
        with world.store.lock("drain worker1"):
            await asyncio.sleep(seconds)
            then()

    async def main() -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(work())
            await asyncio.sleep(0)
            await recipes.verify(replace(world.options, emit=told.append))

    world.run(main())
    return [event.note for event in told if isinstance(event, Noticed)]


def test_what_was_red_is_remembered_beside_somebody_who_verifies_nothing(built: World) -> None:
    built.red.add("proxy")
    assert not beside(built, LOOKS + 3)
    assert built.plan().unverified


def test_it_is_told_where_that_takes_long(built: World) -> None:
    built.red.add("proxy")
    (told,) = beside(built, LOOKS + PATIENCE + 3)
    assert told.startswith("not remembered, another groundplane works on this platform: `drain worker1`")
    assert built.plan().empty


def test_it_takes_nothing_from_what_was_found_well_meanwhile(built: World) -> None:
    built.red.add("proxy")
    assert not beside(built, LOOKS + 3, lambda: built.store.set_verified(True))
    assert built.plan().empty


def test_it_makes_no_platform_of_one_that_was_removed_meanwhile(built: World) -> None:
    built.red.add("proxy")
    beside(built, LOOKS + 3, built.store.forget)
    assert not built.store.exists


def test_that_it_was_well_says_nothing_of_what_somebody_is_doing_to_it(built: World) -> None:
    built.store.set_verified(False)
    (told,) = beside(built, 3)
    assert told.startswith("not remembered")
    assert built.plan().unverified


def test_nor_of_what_somebody_did_to_it_meanwhile(built: World) -> None:
    built.red.add("proxy")

    def end_badly() -> None:
        built.red.clear()
        built.store.set_verified(False)

    beside(built, LOOKS - 3, end_badly)
    assert built.plan().unverified


def test_who_starts_machines_starts_those_that_are_there_by_then(built: World, monkeypatch: pytest.MonkeyPatch) -> None:
    built.overtake(monkeypatch, SMALL.replace("worker: 1", "worker: 2"))
    built.ground.machines["worker2"].power = Power.OFF
    built.run(recipes.power(built.options, True))
    assert built.standing("worker2")


# -- nodes that are meant to be empty ------------------------------------------------------------------------------


@dataclass
class Cluster:
    """What kubectl is asked for, in order, and the pods by node. One that is ``kept`` by its owner isn't evicted."""

    pods: dict[str, list[str]]
    kept: str = ""
    asked: list[str] = field(default_factory=list)

    def kubectl(self, call: Call) -> Completed:
        words = [word for word in call.argv[1:] if not word.startswith("--")]
        if words[0] == "get":
            return Completed(0, json.dumps({"items": self._items(call, words[1])}).encode(), b"")
        if words[0] == "create":
            pod = json.loads(call.stdin)["metadata"]["name"]
            if pod == self.kept:
                return Completed(1, b"", b"Cannot evict pod as it would violate the pod's disruption budget.")
            words = ["evict", pod]
            self.pods = {node: [one for one in pods if one != pod] for node, pods in self.pods.items()}
        self.asked.append(" ".join(words))
        return Completed(0, b"", b"")

    def _items(self, call: Call, what: str) -> list[object]:
        if what == "nodes":
            ready = {"conditions": [{"type": "Ready", "status": "True"}]}
            return [{"metadata": {"name": name}, "spec": {}, "status": ready} for name in self.pods]
        if what != "pods":
            return []
        node = next(word for word in call.argv if "spec.nodeName=" in word).partition("spec.nodeName=")[2].split(",")[0]
        owned = {"namespace": "shop", "ownerReferences": [{"kind": "ReplicaSet"}]}
        return [{"metadata": {"name": pod, **owned}} for pod in self.pods[node]]


@pytest.fixture
def cluster(built: World) -> Cluster:
    found = Cluster({"cp1": ["db"], "worker1": ["web", "shop"], "cp2": ["other"]})
    built.ground.reach.on("*", "kubectl", then=found.kubectl)
    return found


def test_nodes_are_emptied_one_after_the_other_and_stay_so(built: World, cluster: Cluster) -> None:
    before = built.truth()
    built.run(recipes.drain(built.options, ["worker1", "cp1"], 60))
    assert cluster.asked == [
        f"annotate node worker1 {DRAINED}=true",
        "cordon worker1",
        "evict web",
        "evict shop",
        f"annotate node cp1 {DRAINED}=true",
        "cordon cp1",
        "evict db",
    ]
    assert cluster.pods == {"cp1": [], "worker1": [], "cp2": ["other"]}
    cluster.asked.clear()
    built.run(recipes.undrain(built.options, ["worker1", "cp1"]))
    assert cluster.asked == [
        f"annotate node worker1 {DRAINED}-",
        "uncordon worker1",
        f"annotate node cp1 {DRAINED}-",
        "uncordon cp1",
    ]
    assert built.truth() == before
    assert not built.ground.journal


def test_what_keeps_a_node_from_being_empty_keeps_the_next_as_it_is(built: World, cluster: Cluster) -> None:
    cluster.kept = "shop"
    with pytest.raises(ConditionTimeout, match="its pods leave: not within 20 s") as caught:
        built.run(recipes.drain(built.options, ["worker1", "cp1"], 20))
    assert "shop/shop" in caught.value.detail
    assert cluster.pods == {"cp1": ["db"], "worker1": ["shop"], "cp2": ["other"]}
    assert not [asked for asked in cluster.asked if "cp1" in asked]
    assert "uncordon worker1" not in cluster.asked


@pytest.mark.parametrize(("names", "why"), [(("worker1", "lb1"), "lb1 runs no pods"), (("cp9",), "no machine cp9")])
def test_who_runs_no_pods_is_neither_drained_nor_undrained(
    built: World, cluster: Cluster, names: tuple[str, ...], why: str
) -> None:
    for recipe in (recipes.drain(built.options, names, 60), recipes.undrain(built.options, names)):
        with pytest.raises(UsageError, match=why):
            built.run(recipe)
    assert not cluster.asked


def test_nobody_is_drained_beside_somebody_who_works_on_the_platform(built: World, cluster: Cluster) -> None:
    for recipe in (recipes.drain(built.options, ["worker1"], 60), recipes.undrain(built.options, ["worker1"])):
        with built.store.lock("apply"), pytest.raises(LockHeld):
            built.run(recipe)
    assert not cluster.asked


def test_a_node_that_has_come_by_then_is_drained_and_undrained(
    built: World, cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    cluster.pods["worker2"] = []
    built.overtake(monkeypatch, SMALL.replace("worker: 1", "worker: 2"))
    old = built.remembered()
    built.run(recipes.drain(built.options, ["worker2"], 60))
    for name, content in old.items():
        (built.store.folder / name).write_bytes(content)
    built.run(recipes.undrain(built.options, ["worker2"]))
    assert "cordon worker2" in cluster.asked
    assert "uncordon worker2" in cluster.asked
