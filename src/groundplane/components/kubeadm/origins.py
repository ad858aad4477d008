"""Whose images run: what containerd has on every node, and what the platform's own pods were made of."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

from groundplane.components.cluster.api import kubectl, loads, read
from groundplane.components.everywhere import everywhere, some
from groundplane.components.pod_network import POD_NETWORK
from groundplane.components.podnet.look import NAMESPACE
from groundplane.components.system.fragment import PLATFORM_CA
from groundplane.state.step import Reach
from groundplane.topology.model import Machine, Topology
from groundplane.verify.condition import NotYet

# Pods that are ours. Users may run their own in kube-system, and beside our verification's.
_PLATFORM_PODS = (
    ("--namespace=kube-system", "--selector=tier=control-plane"),
    ("--namespace=kube-system", "--selector=k8s-app in (kube-dns,kube-proxy)"),
    (f"--namespace={POD_NETWORK.namespace}",),
)
_VERIFICATION_PODS = ("--all-namespaces", "--selector=app=probe")
_COMPARE = (Path(__file__).parent / "remote" / "compare_images.py").read_text()


async def images(reach: Reach, topology: Topology) -> str:
    """Every image on every node is the gateway's registry's, and the platform's pods run the bundle's.

    With an uplink users' images may come from elsewhere, but none may bear the name of one the registry has.
    """
    pods, there = await asyncio.gather(_pods_images(reach, topology), _nodes_images(reach, topology))
    return f"{there}; {pods}"


async def _nodes_images(reach: Reach, topology: Topology) -> str:
    wanted = {
        "registry": topology.registry_host,
        "authority": PLATFORM_CA,
        "others": topology.spec.network.uplink is not None,
        "ours": [image.rpartition(":")[0] for image in topology.software.images],
    }
    names = 0

    async def compare(machine: Machine) -> None:
        nonlocal names
        stdin = json.dumps(wanted).encode()
        answer = await reach.run(machine.name, ("python3", "-I", "-c", _COMPARE), stdin=stdin, timeout=60)
        count, *foreign = answer.text.splitlines()
        names += int(count)
        if foreign:
            raise NotYet(some((line.replace("|", " ", 1) for line in foreign), separator="; "))

    asked = await everywhere(topology.nodes, compare)
    return f"{names} image names on {asked} nodes are the registry's"


async def _pods_images(reach: Reach, topology: Topology) -> str:
    allowed = set(topology.software.images)
    *ours, probing = await asyncio.gather(
        *(_pods(reach, topology, where) for where in (*_PLATFORM_PODS, _VERIFICATION_PODS))
    )
    pods = [pod for found in ours for pod in found]
    pods += [pod for pod in probing if pod["metadata"].get("namespace", "").startswith(NAMESPACE)]
    for pod in pods:
        spec = pod["spec"]
        used = {entry["image"] for part in ("initContainers", "containers") for entry in spec.get(part, ())}
        if not used <= allowed:
            raise NotYet(f"{pod['metadata']['name']} runs {', '.join(sorted(used - allowed))}")
    return f"{len(pods)} pods run images of the bundle"


async def _pods(reach: Reach, topology: Topology, where: tuple[str, ...]) -> list[dict[str, Any]]:
    answer = await read(reach, topology, kubectl("get", "pods", *where, "--output=json"))
    return list(loads(answer.text)["items"])
