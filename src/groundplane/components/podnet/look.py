"""The cluster seen from pods: one on each node, made for a look and removed after it.

All questions that need pods are asked in one go, whoever of the checks wants to know first. A namespace of a fresh
name each time: a removed one is still being taken down when the next look may begin.
"""

from __future__ import annotations

import asyncio
import json
import secrets
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from groundplane.components.base import templates
from groundplane.components.cluster.answers import Answer, parse_answers
from groundplane.components.cluster.api import any_control_plane, ask, kubectl, loads, nodes
from groundplane.components.etcd.members import ETCDCTL, LOCAL_ETCD
from groundplane.components.podnet.starting import unready
from groundplane.errors import CommandFailed, StepError, TransportError
from groundplane.state.step import Reach
from groundplane.topology.model import Topology
from groundplane.verify.condition import NotYet

LABEL = "groundplane.io/verify"
NAMESPACE = "groundplane-verify-"
PORT = 8080
SERVICE_PORT = 80
WHOLE = 64 << 10
"""Bytes that must get there and back: many packets of the largest size, where a host name fits into the smallest."""
HOST_PORTS = range(20000, 30000)
"""Where probes take a port of the nodes: above services', below Kubernetes' node ports and the kernel's own."""
ENCRYPTED = b"k8s:enc:secretbox:v1:"
CLUSTER_NAME = "kubernetes.default.svc.cluster.local"
_STALE = timedelta(minutes=10)
_TEMPLATES = templates(__file__)
_SCRIPT = (Path(__file__).parent / "remote" / "reach_pods.py").read_text()


@dataclass(frozen=True, slots=True)
class ProbePod:
    """A probe pod: its name (which it answers with), UID, node and address; the node's port that leads to it."""

    name: str
    uid: str
    node: str
    address: str
    port: int


@dataclass(frozen=True, slots=True)
class Look:
    """Everything one look at the cluster from pods found."""

    pods: tuple[ProbePod, ...]
    answers: tuple[Answer, ...]
    encrypted: bool


async def look(reach: Reach, topology: Topology) -> Look:
    """Put a probe pod on every node and ask all questions. Raises NotYet when it can't come to that."""
    try:
        await _networked(reach, topology)
        async with _namespace(reach, topology) as (machine, namespace):
            return await _look(reach, topology, machine, namespace)
    except StepError as error:
        raise NotYet(f"{error.what} {error.detail}".strip()) from error


async def _networked(reach: Reach, topology: Topology) -> None:
    """Raise NotYet where no pod can begin. A kubelet that failed to begin one tries again 10 s later and more."""
    known = await nodes(reach, topology)
    able = {node.name for node in known.values() if node.ready and node.networked}
    if late := sorted(machine.name for machine in topology.nodes if machine.name not in able):
        raise NotYet(f"no pod can begin on {', '.join(late)}: not ready, or without the pods' network")


@asynccontextmanager
async def _namespace(reach: Reach, topology: Topology) -> AsyncIterator[tuple[str, str]]:
    machine = await any_control_plane(reach, topology)
    if machine is None:
        raise NotYet("no control plane answers for the cluster")
    await _sweep(reach, machine)
    namespace = f"{NAMESPACE}{secrets.token_hex(4)}"
    manifest = _TEMPLATES.get_template("verify.yaml.j2").render(
        namespace=namespace,
        port=PORT,
        host_port=secrets.choice(HOST_PORTS),  # another than that of a look before, whose pods may be ending still
        image=topology.software.probe_image,
    )
    try:
        await reach.run(machine, kubectl("apply", "--server-side", "--filename=-"), stdin=manifest.encode())
        yield machine, namespace
    finally:
        with suppress(StepError):  # what can't be removed now is swept by a later look
            argv = kubectl("delete", "namespace", namespace, "--ignore-not-found", "--wait=false")
            await ask(reach, topology, argv)


async def _sweep(reach: Reach, machine: str) -> None:
    """Remove namespaces of looks that were killed; those of looks under way are younger."""
    answer = await reach.run(machine, kubectl("get", "namespaces", f"--selector={LABEL}", "--output=json"))
    oldest = datetime.now(UTC) - _STALE
    stale = [
        item["metadata"]["name"]
        for item in loads(answer.text)["items"]
        if datetime.fromisoformat(item["metadata"]["creationTimestamp"].replace("Z", "+00:00")) < oldest
    ]
    if stale:
        await reach.run(machine, kubectl("delete", "namespace", "--wait=false", "--ignore-not-found", *stale))


async def _look(reach: Reach, topology: Topology, machine: str, namespace: str) -> Look:
    pods, service = await _ready(reach, topology, machine, namespace)
    wanted = _wanted(topology, pods, service, await questions(reach, topology, machine))
    asked = await asyncio.gather(
        _names(reach, machine, namespace, pods),
        *(_reachable(reach, pod, wanted) for pod in pods),
    )
    return Look(
        pods=pods,
        answers=tuple(answer for answers in asked for answer in answers),
        encrypted=await _encrypted(reach, machine, namespace),
    )


async def _ready(reach: Reach, topology: Topology, machine: str, namespace: str) -> tuple[tuple[ProbePod, ...], str]:
    """Wait for the pods; return them and the Service's address. NotYet with the reason where a node has none."""
    wanted = [node.name for node in topology.nodes]
    scope = f"--namespace={namespace}"
    waiting = ("kubectl", "--kubeconfig=/etc/kubernetes/admin.conf", "rollout", "status", "daemonset/probe", scope)
    try:
        await reach.run(machine, (*waiting, "--timeout=40s"), timeout=50)
        answer = await reach.run(machine, kubectl("get", "pods,services", scope, "--output=json"))
    except TransportError as error:
        raise await unready(reach, machine, namespace, wanted) from error
    items = loads(answer.text)["items"]
    found = [_pod(item) for item in items if item["kind"] == "Pod" and item["status"].get("podIP")]
    if set(wanted) - {pod.node for pod in found}:
        raise await unready(reach, machine, namespace, wanted)
    service = next(item["spec"]["clusterIP"] for item in items if item["kind"] == "Service")
    return tuple(sorted(found, key=lambda pod: pod.node)), service


def _pod(item: dict[str, Any]) -> ProbePod:
    (port,) = item["spec"]["containers"][0]["ports"]
    return ProbePod(
        item["metadata"]["name"],
        item["metadata"]["uid"],
        item["spec"]["nodeName"],
        item["status"]["podIP"],
        port["hostPort"],
    )


async def questions(reach: Reach, topology: Topology, machine: str) -> tuple[dict[str, str], ...]:
    """The names that each CoreDNS is asked for: the cluster's own, one of the LAN, and where the LAN has a way out, who
    serves the root of all names."""
    argv = kubectl("get", "pods", "--namespace=kube-system", "--selector=k8s-app=kube-dns", "--output=json")
    items = loads((await reach.run(machine, argv)).text)["items"]
    servers = {item["metadata"]["name"]: item["status"].get("podIP", "") for item in items if _serves(item)}
    own = str(topology.spec.kubernetes.services[1])  # of the Service `kubernetes`, in every cluster
    names = [(CLUSTER_NAME, "A", own), (f"{topology.api_host}.", "A", str(topology.lan.floating))]
    if topology.spec.network.uplink:
        names.append((".", "NS", ""))
    return tuple(
        {"shown": f"{name} of {pod}", "server": server, "name": name, "kind": kind, "address": address}
        for pod, server in sorted(servers.items())
        for name, kind, address in names
    )


def _serves(pod: dict[str, Any]) -> bool:
    """Whether names are asked of it: one that begins, ends or is lost with its node isn't behind the Service."""
    return "deletionTimestamp" not in pod["metadata"] and pod.get("status", {}).get("phase") == "Running"


def _wanted(
    topology: Topology, pods: Sequence[ProbePod], service: str, names: Sequence[dict[str, str]]
) -> dict[str, object]:
    """What every node is told to ask."""
    addresses = {node.name: str(node.address) for node in topology.nodes}
    return {
        "bytes": WHOLE,
        "port": PORT,
        "service": service,
        "service_port": SERVICE_PORT,
        "pods": [{"name": pod.name, "node": pod.node, "address": pod.address} for pod in pods],
        "ports": [
            {"node": pod.node, "address": addresses[pod.node], "port": pod.port, "pod": pod.name}
            for pod in pods
            if pod.node in addresses
        ],
        "questions": names,
    }


async def _reachable(reach: Reach, pod: ProbePod, wanted: dict[str, object]) -> tuple[Answer, ...]:
    """Ask pods, Services and names from one pod's network, Services and nodes' ports from its node."""
    told = json.dumps({**wanted, "uid": pod.uid}).encode()
    try:
        answer = await reach.run(pod.node, ("python3", "-I", "-c", _SCRIPT), stdin=told, timeout=90)
    except TransportError as error:
        return (Answer(pod.node, "pod", "all", error.detail or error.what),)
    return parse_answers(pod.node, answer.text)


async def _names(reach: Reach, machine: str, namespace: str, pods: Sequence[ProbePod]) -> tuple[Answer, ...]:
    """Resolve a Service's name in every pod, by the pod's own resolver: through `kubectl exec`, so that the API
    server's way to every kubelet is walked too."""
    script = (
        "xargs -P 8 -I POD sh -c 'out=$(kubectl --kubeconfig=/etc/kubernetes/admin.conf --request-timeout=15s"
        f" exec -n {namespace} POD -- /usr/local/bin/probe lookup {CLUSTER_NAME} 2>&1)"
        ' && echo "dns|POD|" || echo "dns|POD|$(echo "$out" | tr "\\n|" "  ")"\''
    )
    where = {pod.name: pod.node for pod in pods}
    answer = await reach.run(
        machine, ("sh", "-c", script), stdin="\n".join(where).encode() + b"\n", timeout=90, check=False
    )
    found = parse_answers(machine, answer.text)
    return tuple(Answer(where.get(entry.target, machine), "dns", entry.target, entry.problem) for entry in found)


async def _encrypted(reach: Reach, machine: str, namespace: str) -> bool:
    """Whether the Secret made for this look lies encrypted in etcd; only the start of the stored value is read."""
    script = (
        f"{' '.join(ETCDCTL)} {LOCAL_ETCD} get /registry/secrets/{namespace}/probe --print-value-only"
        f" | head -c {len(ENCRYPTED)}"
    )
    try:
        answer = await reach.run(machine, ("sh", "-c", script), timeout=20)
    except CommandFailed:
        return False
    return answer.stdout == ENCRYPTED
