"""A machine leaves the cluster dead or alive, and what is in its way is named."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import replace
from typing import Any

import pytest

from groundplane.components.cluster import draining
from groundplane.components.etcd.spare import ails, without
from groundplane.components.kubeadm.leaving import leaving
from groundplane.errors import ConditionTimeout, StepError, Unreachable
from groundplane.state.step import Completed, Step
from groundplane.topology.model import Machine, Topology
from groundplane.transport.fake import Call, FakeTransport
from groundplane.verify.condition import NotYet


def pod(name: str, *, owner: str = "ReplicaSet", labels: Mapping[str, str] | None = None, mirror: bool = False) -> Any:
    metadata: dict[str, Any] = {"name": name, "namespace": "shop", "labels": dict(labels or {})}
    if owner:
        metadata["ownerReferences"] = [{"kind": owner}]
    if mirror:
        metadata["annotations"] = {"kubernetes.io/config.mirror": "x"}
    return {"metadata": metadata}


def budget(selector: Mapping[str, Any], *, allowed: int = 0) -> Any:
    status = {"disruptionsAllowed": allowed, "currentHealthy": 2, "desiredHealthy": 2}
    return {"metadata": {"name": "web-budget"}, "spec": {"selector": selector}, "status": status}


def listing(*items: Any) -> bytes:
    return json.dumps({"items": list(items)}).encode()


def node(name: str, *, ready: bool = True, cordoned: bool = False) -> Any:
    conditions = [{"type": "Ready", "status": "True" if ready else "Unknown"}]
    return {"metadata": {"name": name}, "spec": {"unschedulable": cordoned}, "status": {"conditions": conditions}}


class Cluster(FakeTransport):
    """Control planes that answer what kubectl would; ``nodes``, ``pods`` and ``budgets`` can be set."""

    def __init__(self) -> None:
        super().__init__()
        self.nodes: list[Any] = []
        self.pods: list[Any] = []
        self.budgets: list[Any] = []
        self.refuses = False
        self.on("*", "kubectl", then=self.kubectl)

    def kubectl(self, call: Call) -> Completed:
        return Completed(0, self.said(call), b"")

    def said(self, call: Call) -> bytes:
        words = [word for word in call.argv[1:] if not word.startswith("--")]
        match words:
            case ["get", "nodes"]:
                return listing(*self.nodes)
            case ["get", "pods"]:
                return listing(*self.pods)
            case ["get", "poddisruptionbudgets"]:
                return listing(*self.budgets)
            case ["create"] if self.refuses:
                raise Unreachable("Cannot evict pod as it would violate the pod's disruption budget.")
            case _:
                return b""


def others(topology: Topology, machine: Machine) -> Topology:
    return replace(topology, machines=tuple(one for one in topology.machines if one != machine))


def steps(topology: Topology, name: str) -> dict[str, Step]:
    machine = topology.machine(name)
    return {step.name.partition(":")[0]: step for step in leaving(others(topology, machine), machine)}


def test_who_leaves_how(topology: Topology) -> None:
    assert list(steps(topology, "worker1")) == ["drain", "forget"]
    assert list(steps(topology, "cp1")) == ["drain", "stop-serving", "leave-etcd", "forget"]
    assert steps(topology, "lb1") == {}


@pytest.mark.parametrize(
    ("nodes", "pods", "holds"),
    [
        ([], [pod("a")], True),  # it is no node any more
        ([node("worker1", ready=False)], [pod("a")], True),  # nobody there would end its pods
        ([node("worker1", cordoned=True)], [pod("a")], False),
        ([node("worker1", cordoned=True)], [pod("d", owner="DaemonSet"), pod("s", mirror=True, owner="Node")], True),
        ([node("worker1")], [], False),
    ],
)
def test_a_node_is_empty_when_nobody_has_to_leave_it(
    topology: Topology, nodes: list[Any], pods: list[Any], holds: bool
) -> None:
    cluster = Cluster()
    cluster.nodes, cluster.pods = nodes, pods
    assert asyncio.run(draining.empty(cluster, topology, topology.machine("worker1"))) is holds


def test_a_pod_that_nothing_would_make_anew_stops_a_drain(topology: Topology) -> None:
    cluster = Cluster()
    cluster.pods = [pod("alone", owner="")]
    with pytest.raises(StepError, match="shop/alone"):
        asyncio.run(draining.drain(cluster, topology, topology.machine("worker1")))
    assert not any("create" in call.argv for call in cluster.calls)


def test_the_budget_in_the_way_is_named(
    topology: Topology, virtual_time: Callable[[Coroutine[Any, Any, None]], None]
) -> None:
    cluster = Cluster()
    cluster.nodes = [node("worker1", cordoned=True)]
    cluster.pods, cluster.refuses = [pod("web", labels={"app": "web"})], True
    cluster.budgets = [budget({"matchLabels": {"app": "web"}})]
    with pytest.raises(ConditionTimeout) as caught:
        virtual_time(draining.drain(cluster, topology, topology.machine("worker1"), deadline=30))
    assert "shop/web: its PodDisruptionBudget web-budget wants 2 healthy pods, and 2 are" in caught.value.detail
    assert "undrain" in caught.value.hint


def test_a_node_that_dies_while_it_is_emptied_is_not_waited_for(
    topology: Topology, virtual_time: Callable[[Coroutine[Any, Any, None]], None]
) -> None:
    """As of a machine that was switched off a moment ago: the cluster believes it ready for a while."""

    class Dying(Cluster):
        def said(self, call: Call) -> bytes:
            if "create" in call.argv:
                self.evicted += 1
                self.nodes = [node("worker1", ready=self.evicted < 5, cordoned=True)]
            return super().said(call)

        evicted = 0

    cluster = Dying()
    cluster.nodes, cluster.pods = [node("worker1")], [pod("web")]
    virtual_time(draining.drain(cluster, topology, topology.machine("worker1"), deadline=30))
    assert cluster.evicted == 5


@pytest.mark.parametrize(
    ("selector", "matches"),
    [
        ({}, True),
        ({"matchLabels": {"app": "web"}}, True),
        ({"matchLabels": {"app": "db"}}, False),
        ({"matchExpressions": [{"key": "app", "operator": "In", "values": ["web"]}]}, True),
        ({"matchExpressions": [{"key": "app", "operator": "NotIn", "values": ["web"]}]}, False),
        ({"matchExpressions": [{"key": "tier", "operator": "Exists"}]}, False),
        ({"matchExpressions": [{"key": "tier", "operator": "DoesNotExist"}]}, True),
    ],
)
def test_selectors_are_read_as_kubernetes_reads_them(selector: Mapping[str, Any], matches: bool) -> None:
    assert draining.selects(selector, {"app": "web"}) is matches


def member(machine: Machine, number: int) -> dict[str, Any]:
    return {"ID": number, "name": machine.name, "peerURLs": [f"https://{machine.address}:2380"]}


@pytest.mark.parametrize(
    ("gone", "unwell", "leaves"),
    [
        (("cp3",), (), True),
        (("cp2", "cp3"), (), True),  # the other one that leaves is well still
        (("cp3",), ("cp2",), False),
        (("cp3",), ("cp3",), True),  # etcd itself refuses where too few would remain
    ],
)
def test_a_member_leaves_while_the_others_are_well(
    topology: Topology, gone: tuple[str, ...], unwell: tuple[str, ...], leaves: bool
) -> None:
    stay = replace(topology, machines=tuple(one for one in topology.machines if one.name not in gone))
    fake = etcd(topology, *(member(one, number) for number, one in enumerate(topology.control_planes, 1)), down=unwell)
    act = next(step for step in leaving(stay, topology.machine("cp3")) if step.name == "leave-etcd:cp3").act

    async def main() -> None:
        await act(fake)

    if leaves:
        asyncio.run(main())
    else:
        with pytest.raises(StepError, match="another member of etcd isn't well: cp2"):
            asyncio.run(main())
    assert any("remove" in call.argv for call in fake.calls) is leaves


@pytest.mark.parametrize(
    ("standing", "down", "spared"),
    [
        (("cp1", "cp2", "cp3"), (), True),
        (("cp1", "cp2", "cp3"), ("cp2",), False),
        (("cp1", "cp2", "cp3"), ("cp3",), True),  # it takes nothing away
        (("cp1", "cp3"), ("cp2",), True),  # one that leaves dead goes before it
        (("cp1", "cp2"), ("cp2",), True),  # it has left
    ],
)
def test_a_member_goes_only_where_the_others_are_well(
    topology: Topology, standing: tuple[str, ...], down: tuple[str, ...], spared: bool
) -> None:
    there = replace(topology, machines=tuple(one for one in topology.machines if one.name in standing))
    joined = [
        topology.machine("cp1"),
        topology.machine("cp2"),
        *([topology.machine("cp3")] if "cp3" in standing else []),
    ]
    fake = etcd(topology, *(member(one, number) for number, one in enumerate(joined, 1)), down=down)
    check = without(there, topology.machine("cp3"))
    assert check

    async def main() -> str:
        return await check.probe(fake)

    if spared:
        asyncio.run(main())
    else:
        with pytest.raises(NotYet, match="not well: cp2"):
            asyncio.run(main())


def test_a_member_that_is_yet_to_start_keeps_nobody(topology: Topology) -> None:
    """Who joins does so before anybody who lives goes: a run that was cut off there is gone on with."""
    begun = {**member(topology.machine("cp2"), 2), "name": "", "isLearner": True}
    fake = etcd(topology, member(topology.machine("cp1"), 1), begun, member(topology.machine("cp3"), 3))
    check = without(topology, topology.machine("cp3"))
    assert check

    async def main() -> str:
        return await check.probe(fake)

    assert asyncio.run(main()) == "well: cp1"


def test_who_holds_no_vote_or_is_alone_is_not_asked_about(topology: Topology) -> None:
    assert without(topology, topology.machine("worker1")) is None
    alone = replace(topology, machines=(topology.machine("cp1"),))
    assert without(alone, topology.machine("cp1")) is None


@pytest.mark.parametrize(
    ("name", "down", "is_so"),
    [("cp3", ("cp3",), True), ("cp3", (), False), ("cp3", ("cp2",), False), ("worker1", ("cp3",), False)],
)
def test_who_has_a_member_that_does_not_serve_ails(
    topology: Topology, name: str, down: tuple[str, ...], is_so: bool
) -> None:
    fake = etcd(topology, *(member(one, number) for number, one in enumerate(topology.control_planes, 1)), down=down)
    assert asked(topology, name, fake) is is_so


def test_nobody_ails_who_has_no_member_or_while_no_majority_answers(topology: Topology) -> None:
    fake = etcd(topology, member(topology.machine("cp1"), 1), down=("cp3",))
    assert not asked(topology, "cp3", fake)
    fake.on("*", "etcdctl", raises=Unreachable("no leader"))
    assert not asked(topology, "cp3", fake)


def asked(topology: Topology, name: str, fake: FakeTransport) -> bool:
    async def main() -> bool:
        return await ails(fake, topology, topology.machine(name))

    return asyncio.run(main())


def etcd(topology: Topology, *members: dict[str, Any], down: tuple[str, ...] = ()) -> FakeTransport:
    """Control planes of which each names ``members``; those that are ``down`` don't serve."""
    fake = FakeTransport()

    def etcdctl(call: Call) -> Completed:
        words = " ".join(call.argv)
        if "member list" in words:
            return Completed(0, json.dumps({"members": members}).encode(), b"")
        if "endpoint health" in words and any(f"//{topology.machine(name).address}:2379" in words for name in down):
            raise Unreachable("context deadline exceeded")
        return Completed(0, b"", b"")

    fake.on("*", "etcdctl", then=etcdctl)
    return fake
