"""CoreDNS away from a single node.

kubeadm asks for two and prefers them apart, but when they are scheduled there is one node. They would stay
together on it, and the cluster's names would end with it.
"""

from __future__ import annotations

from typing import Any

from groundplane.components.cluster import paths
from groundplane.components.cluster.api import any_control_plane, ask, kubectl, loads, nodes, read
from groundplane.components.podnet.network import PodNetwork
from groundplane.errors import StepError, TransportError
from groundplane.state.step import Reach
from groundplane.topology.model import Topology
from groundplane.verify.condition import NotYet, wait_until

APART = 2
TRIES = 4
"""How often a pod is given up before it is left to the next run: anti-affinity is a wish, not a rule."""
_SCOPE = "--namespace=kube-system"
_DEPLOYMENT = "deployment/coredns"


async def spread(reach: Reach, topology: Topology) -> bool:
    """Whether CoreDNS's pods are on as many nodes as they can be, two at most needed."""
    where = {node for _, node in await _placed(reach, topology)}
    return "" not in where and len(where) >= min(APART, len(topology.nodes))


async def _placed(reach: Reach, topology: Topology) -> tuple[tuple[str, str], ...]:
    """The pods that stay and the node of each ("" where it has none yet), sorted by name."""
    argv = kubectl("get", "pods", _SCOPE, "--selector=k8s-app=kube-dns", "--output=json")
    items = loads((await read(reach, topology, argv)).text)["items"]
    return tuple(sorted((item["metadata"]["name"], item["spec"].get("nodeName", "")) for item in items if _stays(item)))


def _stays(pod: dict[str, Any]) -> bool:
    """Whether it serves or will: one that was evicted or lost with its node is only remembered."""
    return "deletionTimestamp" not in pod["metadata"] and pod.get("status", {}).get("phase") in ("Pending", "Running")


async def spread_out(reach: Reach, topology: Topology, network: PodNetwork) -> None:
    """Give up one of the pods that share a node, once there are nodes to choose from: the one that takes its place
    is scheduled while the other is there, and kubeadm's anti-affinity keeps the two apart."""
    wanted = min(APART, len(topology.nodes))

    async def ready() -> None:
        try:
            count = sum(node.ready for node in (await nodes(reach, topology)).values())
        except StepError as error:
            raise NotYet(error.what) from error
        if count < wanted:
            raise NotYet(f"{count} nodes are ready")

    await wait_until(
        f"{wanted} nodes are ready",
        ready,
        deadline=120,
        where="platform",
        hint=f"nodes become ready with the pod network: {network.shown_by}",
    )
    for _ in range(TRIES):
        await _available(reach, topology)
        placed = await _all_placed(reach, topology)
        crowded = [pod for place, (pod, node) in enumerate(placed) if node in {other for _, other in placed[:place]}]
        if not crowded:
            return
        gone = kubectl("delete", "pod", _SCOPE, crowded[0], "--wait=false", "--ignore-not-found=true")
        await ask(reach, topology, gone)


async def _all_placed(reach: Reach, topology: Topology) -> tuple[tuple[str, str], ...]:
    placed: tuple[tuple[str, str], ...] = ()

    async def all_there() -> None:
        nonlocal placed
        placed = await _placed(reach, topology)
        if len(placed) < APART or any(not node for _, node in placed):
            raise NotYet(f"{sum(bool(node) for _, node in placed)} of {APART} have a node")

    await wait_until("CoreDNS's pods have their nodes", all_there, deadline=60, where="platform")
    return placed


async def _available(reach: Reach, topology: Topology) -> None:
    machine = await any_control_plane(reach, topology)
    if machine is None:
        raise StepError("no control plane answers for the cluster", where="platform")
    waiting = ("kubectl", f"--kubeconfig={paths.ADMIN}", "rollout", "status", _SCOPE, _DEPLOYMENT, "--timeout=90s")
    try:
        await reach.run(machine, waiting, timeout=100)
    except TransportError as error:
        raise StepError(
            "CoreDNS doesn't become ready",
            where="platform",
            hint="`kubectl -n kube-system describe pods -l k8s-app=kube-dns` tells why",
            detail=error.detail or error.what,
        ) from error
