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

from groundplane.components.base import templates
from groundplane.components.cluster.answers import Answer, parse_answers
from groundplane.components.cluster.api import any_control_plane, ask, kubectl, loads, nodes
from groundplane.components.etcd.members import ETCDCTL, LOCAL_ETCD
from groundplane.errors import CommandFailed, StepError, TransportError
from groundplane.state.step import Reach
from groundplane.topology.model import Topology
from groundplane.verify.condition import NotYet

LABEL = "groundplane.io/verify"
NAMESPACE = "groundplane-verify-"
PORT = 8080
SERVICE_PORT = 80
ENCRYPTED = b"k8s:enc:secretbox:v1:"
_STALE = timedelta(minutes=10)
_TEMPLATES = templates(__file__)
_SCRIPT = (Path(__file__).parent / "remote" / "reach_pods.py").read_text()


@dataclass(frozen=True, slots=True)
class Pod:
    """A probe pod: its name (which it answers with), UID, node and address."""

    name: str
    uid: str
    node: str
    address: str


@dataclass(frozen=True, slots=True)
class Look:
    """Everything one look at the cluster from pods found."""

    pods: tuple[Pod, ...]
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
        namespace=namespace, port=PORT, image=topology.software.probe_image
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
    pods, service = await _ready(reach, machine, namespace)
    missing = {node.name for node in topology.nodes} - {pod.node for pod in pods}
    if missing:
        raise NotYet(f"no probe pod runs on {', '.join(sorted(missing))}")
    asked = await asyncio.gather(
        _names(reach, machine, namespace, pods),
        *(_reachable(reach, pod, pods, service) for pod in pods),
    )
    return Look(
        pods=pods,
        answers=tuple(answer for answers in asked for answer in answers),
        encrypted=await _encrypted(reach, machine, namespace),
    )


async def _ready(reach: Reach, machine: str, namespace: str) -> tuple[tuple[Pod, ...], str]:
    """Wait for the pods; return them and the Service's address."""
    scope = f"--namespace={namespace}"
    waiting = ("kubectl", "--kubeconfig=/etc/kubernetes/admin.conf", "rollout", "status", "daemonset/probe", scope)
    try:
        await reach.run(machine, (*waiting, "--timeout=40s"), timeout=50)
        answer = await reach.run(machine, kubectl("get", "pods,services", scope, "--output=json"))
    except TransportError as error:
        pods = await reach.run(machine, kubectl("get", "pods", scope, "--output=wide"), check=False)
        raise NotYet(f"probe pods don't become ready: {error.detail or error.what}\n{pods.text}") from error
    items = loads(answer.text)["items"]
    found = [
        Pod(item["metadata"]["name"], item["metadata"]["uid"], item["spec"]["nodeName"], item["status"]["podIP"])
        for item in items
        if item["kind"] == "Pod"
    ]
    service = next(item["spec"]["clusterIP"] for item in items if item["kind"] == "Service")
    return tuple(sorted(found, key=lambda pod: pod.node)), service


async def _reachable(reach: Reach, pod: Pod, pods: Sequence[Pod], service: str) -> tuple[Answer, ...]:
    """Ask all pods and the Service from one pod's network, and the Service from its node."""
    wanted = {
        "uid": pod.uid,
        "port": PORT,
        "service": service,
        "service_port": SERVICE_PORT,
        "pods": [{"name": other.name, "address": other.address} for other in pods],
    }
    try:
        answer = await reach.run(
            pod.node, ("python3", "-I", "-c", _SCRIPT), stdin=json.dumps(wanted).encode(), timeout=90
        )
    except TransportError as error:
        return (Answer(pod.node, "pod", pod.name, error.detail or error.what),)
    return parse_answers(pod.node, answer.text)


async def _names(reach: Reach, machine: str, namespace: str, pods: Sequence[Pod]) -> tuple[Answer, ...]:
    """Resolve a Service's name in every pod, by the pod's own resolver: through `kubectl exec`, so that the API
    server's way to every kubelet is walked too."""
    script = (
        "xargs -P 8 -I POD sh -c 'out=$(kubectl --kubeconfig=/etc/kubernetes/admin.conf --request-timeout=15s"
        f" exec -n {namespace} POD -- /usr/local/bin/probe lookup kubernetes.default.svc.cluster.local 2>&1)"
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
