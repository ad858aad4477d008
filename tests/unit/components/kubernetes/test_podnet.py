"""What the pods' network leaves of another identity, why probe pods don't begin, and asking from pods for real."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from groundplane.components.kubeadm.steps import steps
from groundplane.components.podnet import starting
from groundplane.components.podnet.remote import reach_pods
from groundplane.state.step import Completed, Step
from groundplane.topology.model import Topology
from groundplane.transport.fake import Call, FakeTransport

Run = Callable[[Awaitable[Any]], Any]


def devices(**addresses: str) -> str:
    """Those on a machine, by their names' letters; one whose address ends with ``down`` is."""
    links = [{"ifname": "lan0", "flags": ["UP"], "addr_info": [{"local": "10.80.0.52"}]}]
    for name, words in addresses.items():
        at, _, state = words.partition(" ")
        flags = ["BROADCAST"] if state == "down" else ["BROADCAST", "UP"]
        links.append({"ifname": name.replace("_", "."), "flags": flags, "addr_info": [{"local": at}]})
    return json.dumps(links)


def rejoined(found: str) -> FakeTransport:
    """worker2's pods have the range 10.244.5.0/24; ``found`` are its devices. Three pods are there: one of the node's
    own network, one of the old range, one of the new."""
    node = {"metadata": {"name": "worker2"}, "spec": {"podCIDR": "10.244.5.0/24"}, "status": {}}
    pods = [
        {"metadata": {"uid": "host"}, "spec": {"hostNetwork": True}, "status": {"podIP": "10.80.0.52"}},
        {"metadata": {"uid": "old"}, "spec": {}, "status": {"podIP": "10.244.3.7"}},
        {"metadata": {"uid": "new"}, "spec": {}, "status": {"podIP": "10.244.5.7"}},
        {"metadata": {"uid": "waiting"}, "spec": {}, "status": {}},
    ]
    reach = FakeTransport()

    def kubectl(call: Call) -> Completed:
        items: list[Any] = [node] if "nodes" in call.argv else pods
        return Completed(0, json.dumps({"items": items}).encode(), b"")

    reach.on("*", "kubectl", then=kubectl)
    reach.on("worker2", "ip", answers=found)
    reach.on("worker2", "sh")
    return reach


def the_step(topology: Topology) -> Step:
    return next(one for one in steps(topology) if one.name == "pod-network:worker2")


@pytest.mark.parametrize(
    "found", [devices(cni0="10.244.5.1", flannel_1="10.244.5.0"), devices(), devices(flannel_1="10.244.5.0")]
)
def test_a_network_of_the_nodes_own_range_holds(topology: Topology, run: Run, found: str) -> None:
    assert run(the_step(topology).probe(rejoined(found)))


def test_the_cluster_and_the_machine_are_asked_at_once(topology: Topology, run: Run) -> None:
    both = asyncio.Barrier(2)

    class Together(FakeTransport):
        async def run(self, machine: str, argv: Any, **given: Any) -> Completed:
            await asyncio.wait_for(both.wait(), 1)
            return Completed(0, b"[]" if argv[0] == "ip" else b'{"items": []}', b"")

    assert run(the_step(topology).probe(Together())), "a node that isn't known has nothing to compare with"


def test_a_bridge_of_another_range_goes_and_its_pods_begin_anew(topology: Topology, run: Run) -> None:
    step = the_step(topology)
    reach = rejoined(devices(cni0="10.244.3.1", flannel_1="10.244.5.0"))
    assert not run(step.probe(reach))
    assert step.instead is not None
    assert run(step.instead(reach))[0] == "cni0 has the address 10.244.3.1, its pods' range is 10.244.5.0/24"
    run(step.act(reach))
    ended, removed = [call for call in reach.calls if call.argv[0] == "sh"]
    assert ended.stdin == b"old\nnew\nwaiting\n"  # its own range's too: it hung on that bridge
    assert "ip link delete cni0" in removed.argv[2]
    assert "/var/lib/cni/networks" in removed.argv[2]
    assert "flannel.1" not in removed.argv[2]
    assert not [argv for argv in reach.commands() if "delete" in argv]


def test_a_bridge_that_is_down_is_set_up_and_no_pod_begins_anew(topology: Topology, run: Run) -> None:
    step = the_step(topology)
    reach = rejoined(devices(cni0="10.244.5.1 down", flannel_1="10.244.5.0"))
    assert not run(step.probe(reach))
    assert step.instead is not None
    assert run(step.instead(reach))[0].startswith("cni0 is down")
    run(step.act(reach))
    assert reach.commands()[-1] == ("ip", "link", "set", "cni0", "up")
    assert not [call for call in reach.calls if call.argv[0] == "sh"]


def test_an_overlay_of_another_range_goes_and_its_own_pod_begins_anew(topology: Topology, run: Run) -> None:
    reach = rejoined(devices(flannel_1="10.244.3.0"))
    run(the_step(topology).act(reach))
    removed = [call.argv[2] for call in reach.calls if call.argv[0] == "sh"][-1]
    assert "ip link delete flannel.1" in removed
    assert "/run/flannel/subnet.env" in removed
    (gone,) = [argv for argv in reach.commands() if "delete" in argv]
    assert {"pods", "--namespace=kube-flannel", "--field-selector=spec.nodeName=worker2"} <= set(gone)


# -- why a probe pod does not begin --------------------------------------------------------------------------------


def pod(node: str, *, ready: bool = False, placed: bool = True, waits: str = "") -> dict[str, Any]:
    meant = {"key": "metadata.name", "operator": "In", "values": [node]}
    terms = {"nodeSelectorTerms": [{"matchFields": [meant]}]}
    affinity = {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": terms}}
    containers = [{"state": {"waiting": {"reason": waits}}}] if waits else []
    return {
        "kind": "Pod",
        "metadata": {"uid": f"uid-{node}"},
        "spec": {"nodeName": node} if placed else {"affinity": affinity},
        "status": {
            "phase": "Running" if ready else "Pending",
            "conditions": [{"type": "Ready", "status": str(ready)}],
            "containerStatuses": containers,
        },
    }


def event(node: str, reason: str, message: str, at: str = "2026-01-02T03:04:05Z") -> dict[str, Any]:
    return {
        "kind": "Event",
        "metadata": {},
        "involvedObject": {"uid": f"uid-{node}"},
        "reason": reason,
        "message": message,
        "lastTimestamp": at,
    }


# As the scheduler of Kubernetes 1.37 says it of a DaemonSet's pod.
FULL = (
    "0/5 nodes are available: 1 Insufficient cpu, 4 node(s) didn't satisfy plugin(s) [NodeAffinity]. "
    "preemption: 0/5 nodes are available: 1 No preemption victims found for incoming pod."
)


def unready(run: Run, *items: dict[str, Any]) -> Any:
    reach = FakeTransport()
    reach.on("cp1", "kubectl", answers=json.dumps({"items": items}))
    return run(starting.unready(reach, "cp1", "some", ("cp1", "worker1", "worker2")))


def test_no_room_is_told_with_what_is_lacking(run: Run) -> None:
    others = (pod("cp1", ready=True), pod("worker2", ready=True))
    told = unready(run, *others, pod("worker1", placed=False), event("worker1", "FailedScheduling", FULL))
    assert str(told) == "no room on worker1: Insufficient cpu"
    assert "kubectl describe node worker1" in told.remedy


def test_the_last_event_of_a_pod_that_does_not_run_is_told(run: Run) -> None:
    told = unready(
        run,
        pod("cp1", ready=True),
        pod("worker1", waits="ContainerCreating"),
        event("worker1", "FailedCreatePodSandBox", '"cni0" already has an IP address', "2026-01-02T03:04:09Z"),
        event("worker1", "Scheduled", "assigned", "2026-01-02T03:04:01Z"),
    )
    assert 'the probe pod on worker1 is ContainerCreating, FailedCreatePodSandBox: "cni0" already has' in str(told)
    assert "worker2: no probe pod was made for it" in str(told)
    assert told.remedy == ""


def test_a_policy_that_lets_no_probe_pod_be_made_is_quoted(run: Run) -> None:
    refused = event("probe", "FailedCreate", 'pods "probe-" is forbidden: no probes here')
    told = unready(run, refused)
    assert str(told).count('no probe pod was made for it: pods "probe-" is forbidden: no probes here') == 3
    assert "groundplane-verify-" in told.remedy


# -- the program that asks -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("message", "lacks"),
    [
        (FULL, "Insufficient cpu"),
        ("0/2 nodes are available: 1 Too many pods, 1 Insufficient memory.", "Too many pods, Insufficient memory"),
        ("something else", "something else"),
    ],
)
def test_what_the_scheduler_lacks(message: str, lacks: str) -> None:
    assert starting.lacking(message) == lacks


def answering(said: dict[bool, bytes]) -> Callable[[reach_pods.Target, bytes], bytes]:
    """``said``: the answer to a short question (False) and to one with a body (True); none: nothing comes."""

    def answer(target: reach_pods.Target, body: bytes) -> bytes:
        if bool(body) not in said:
            raise TimeoutError("timed out")
        return said[bool(body)]

    return answer


@pytest.mark.parametrize(
    ("said", "whole", "problem"),
    [
        ({False: b"probe-a\n", True: b"probe-a\nlong"}, True, ""),
        ({False: b"probe-b\n", True: b"probe-b\nlong"}, True, "'probe-b' answered"),
        ({False: b"probe-a\n"}, True, "it answers, but 0 KiB don't get there and back: timed out"),
        ({False: b"probe-a\n", True: b"probe-a\nlo"}, True, "it answers, but 0 KiB don't get there and back: 2 bytes"),
        ({False: b"probe-a\n"}, False, ""),
        ({}, True, "timed out"),
    ],
)
def test_an_answer_must_come_back_whole(
    monkeypatch: pytest.MonkeyPatch, said: dict[bool, bytes], whole: bool, problem: str
) -> None:
    monkeypatch.setattr(reach_pods, "PATIENCE", 0)
    monkeypatch.setattr(reach_pods, "answer", answering(said))
    target = reach_pods.Target("worker1", "10.244.1.2", 8080, "/", ["probe-a"], whole)
    seen = reach_pods.problem(target, b"long")
    assert seen.startswith(problem) if problem else seen == ""


class Server:
    """A DNS server that answers whatever it is asked with ``code`` and ``address``, in the place of a socket."""

    def __init__(self, code: int, address: str) -> None:
        self._tail = bytes([0x81, 0x80 | code]) + bytes(8) + (socket.inet_aton(address) if address else b"")
        self._number = b""

    def __call__(self, *_: object) -> Server:
        return self

    def __enter__(self) -> Server:
        return self

    def __exit__(self, *_: object) -> None: ...

    def settimeout(self, _: float) -> None: ...

    def connect(self, _: object) -> None: ...

    def send(self, asked: bytes) -> None:
        self._number = asked[:2]

    def recv(self, _: int) -> bytes:
        return self._number + self._tail


@pytest.mark.parametrize(
    ("code", "answered", "address", "problem"),
    [
        (0, "10.96.0.1", "10.96.0.1", ""),
        (0, "10.96.0.2", "10.96.0.1", "not found (DNS error 0)"),
        (0, "", "10.96.0.1", "not found (DNS error 0)"),
        (3, "", "10.96.0.1", "not found (DNS error 3)"),
        (3, "", "", ""),
        (2, "", "", "DNS error 2"),
    ],
)
def test_a_server_must_know_the_address_that_is_stated(
    monkeypatch: pytest.MonkeyPatch, code: int, answered: str, address: str, problem: str
) -> None:
    monkeypatch.setattr(socket, "socket", Server(code, answered))
    question = reach_pods.Question("it", "10.244.9.2", "kubernetes.default.svc.cluster.local", "A", address)
    assert reach_pods.resolved(question) == problem
