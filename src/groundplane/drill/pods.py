"""Pods in whose network clients of the cluster are watched: some nodes have one each while a drill lasts."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from groundplane.components.cluster.api import any_control_plane, ask, kubectl, loads, pod_ready
from groundplane.components.podnet.starting import node_of, unready
from groundplane.errors import TransportError
from groundplane.state.step import Reach
from groundplane.topology.model import Machine, Topology
from groundplane.verify.condition import NotYet, wait_until

PLACES: Final = 3
"""Nodes that have such a pod: where one of them is struck by a fault, two are left that have to agree."""
BEGINNING: Final = 60.0
PORT: Final = 8080


@dataclass(frozen=True, slots=True)
class Pod:
    """One of these pods: the UID that the cluster gave it, and its node."""

    uid: str
    node: str


def places(topology: Topology) -> tuple[Machine, ...]:
    """Nodes for such pods: workers first, the last of each role first, for drills that need one node take the first."""
    workers, others = topology.workers, [node for node in topology.nodes if node not in topology.workers]
    return (*reversed(workers), *reversed(others))[:PLACES]


async def begin_pods(reach: Reach, topology: Topology, namespace: str) -> tuple[Pod, ...]:
    """Have a pod run on each of ``places``; they go with their namespace."""
    nodes = [machine.name for machine in places(topology)]
    manifest = {"apiVersion": "v1", "kind": "List", "items": [_pod(topology, namespace, node) for node in nodes]}
    await ask(reach, topology, kubectl("apply", "--filename=-"), stdin=json.dumps(manifest).encode())
    found: tuple[Pod, ...] = ()

    async def ready() -> None:
        nonlocal found
        found = await _ready(reach, topology, namespace, nodes)

    await wait_until(
        "pods to watch from run",
        ready,
        deadline=BEGINNING,
        where="platform",
        hint="`groundplane verify probe-pods` tells more",
    )
    return found


async def _ready(reach: Reach, topology: Topology, namespace: str, nodes: Sequence[str]) -> tuple[Pod, ...]:
    argv = kubectl("get", "pods", f"--namespace={namespace}", "--output=json")
    items = [item for item in loads((await ask(reach, topology, argv)).text)["items"] if pod_ready(item)]
    found = tuple(Pod(item["metadata"]["uid"], node_of(item)) for item in items)
    if missing := sorted(set(nodes) - {pod.node for pod in found}):
        machine = await any_control_plane(reach, topology)
        try:
            raise (
                NotYet("no control plane answers")
                if machine is None
                else await unready(reach, machine, namespace, missing)
            )
        except TransportError as error:
            raise NotYet(str(error)) from error
    return found


def _pod(topology: Topology, namespace: str, node: str) -> dict[str, object]:
    """Bound to its node from the beginning: no scheduler has to find room for it, and it asks for none."""
    container = {
        "name": "watch",
        "image": topology.software.probe_image,
        "command": ["/usr/local/bin/probe", "serve", f":{PORT}"],
        "readinessProbe": {"httpGet": {"port": PORT, "path": "/"}, "periodSeconds": 1},
        "resources": {"requests": {"cpu": "0", "memory": "0"}, "limits": {"memory": "32Mi"}},
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        },
    }
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": f"watch-{node}", "namespace": namespace},
        "spec": {
            "nodeName": node,
            "automountServiceAccountToken": False,
            "enableServiceLinks": False,
            "terminationGracePeriodSeconds": 1,
            "tolerations": [{"operator": "Exists"}],
            "securityContext": {
                "runAsNonRoot": True,
                "runAsUser": 65532,
                "runAsGroup": 65532,
                "seccompProfile": {"type": "RuntimeDefault"},
            },
            "containers": [container],
        },
    }
