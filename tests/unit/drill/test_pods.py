"""Where pods are put to watch from, and what is said where they don't begin."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from tests.golden.laid_out import cases
from tests.unit.drill.made import topology

from groundplane.drill.pods import Pod, begin_pods, places
from groundplane.errors import ConditionTimeout
from groundplane.spec.roles import Role
from groundplane.state.step import Completed
from groundplane.transport.fake import Call, FakeTransport


def item(node: str, *, ready: bool = True) -> dict[str, object]:
    return {
        "kind": "Pod",
        "metadata": {"name": f"watch-{node}", "uid": f"uid-of-{node}"},
        "spec": {"nodeName": node},
        "status": {"phase": "Running", "conditions": [{"type": "Ready", "status": str(ready)}]},
    }


def test_workers_come_first_and_those_that_drills_take_last() -> None:
    assert [machine.name for machine in places(topology())] == ["worker2", "worker1", "cp3"]
    assert len(places(cases()["three"])) == 3
    lonely = replace(topology(), machines=tuple(m for m in topology().machines if not m.has(Role.WORKER)))
    assert [machine.name for machine in places(lonely)] == ["cp3", "cp2", "cp1"]


def test_each_is_bound_to_its_node_and_asks_for_nothing() -> None:
    transport = FakeTransport()
    transport.on("*", "kubectl", answers=json.dumps({"items": [item("cp3"), item("worker1"), item("worker2")]}))
    found = asyncio.run(begin_pods(transport, topology(), "somewhere"))
    assert set(found) == {Pod(f"uid-of-{node}", node) for node in ("cp3", "worker1", "worker2")}
    sent = next(json.loads(call.stdin) for call in transport.calls if "apply" in call.argv)
    assert [pod["spec"]["nodeName"] for pod in sent["items"]] == ["worker2", "worker1", "cp3"]
    assert {pod["metadata"]["namespace"] for pod in sent["items"]} == {"somewhere"}
    requested = [container["resources"]["requests"] for pod in sent["items"] for container in pod["spec"]["containers"]]
    assert requested == [{"cpu": "0", "memory": "0"}] * 3


def test_a_pod_that_does_not_begin_is_named_with_its_node(virtual_time: Callable[..., Any]) -> None:
    transport = FakeTransport()
    late = {"items": [item("cp3"), item("worker1"), item("worker2", ready=False)]}
    transport.on("*", "kubectl", answers=json.dumps(late))
    with pytest.raises(ConditionTimeout) as caught:
        virtual_time(begin_pods(transport, topology(), "somewhere"))
    assert "the probe pod on worker2 is Running" in caught.value.detail


def test_pods_that_become_ready_while_it_is_asked_why_they_are_not_are_there(virtual_time: Callable[..., Any]) -> None:
    transport = FakeTransport()
    whole = json.dumps({"items": [item(node) for node in ("cp3", "worker1", "worker2")]})
    looks = iter([json.dumps({"items": [item("cp3"), item("worker1"), item("worker2", ready=False)]})])

    def answer(call: Call) -> Completed:
        return Completed(0, (next(looks, whole) if "pods" in call.argv else whole).encode(), b"")

    transport.on("*", "kubectl", then=answer)
    found = virtual_time(begin_pods(transport, topology(), "somewhere"))
    assert len(found) == 3
