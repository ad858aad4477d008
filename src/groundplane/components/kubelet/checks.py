"""How we know that the kubelets are closed to strangers, and tell Kubernetes how large their machines are."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from groundplane.components.cluster.answers import Answer, answers_of, bound
from groundplane.components.cluster.api import nodes
from groundplane.components.cluster.names import API
from groundplane.components.kubelet import size
from groundplane.spec.roles import MIB
from groundplane.state.step import Reach
from groundplane.topology.model import Topology
from groundplane.verify.check import RECOVERY, Check
from groundplane.verify.condition import NotYet


def checks(topology: Topology, strangers: Callable[[Reach], Awaitable[tuple[Answer, ...]]]) -> tuple[Check, ...]:
    """``strangers``: what somebody without credentials was answered, in the kinds ``serving`` and ``readonly``."""
    return (
        Check(
            "kubelet-certificates",
            "every kubelet presents a certificate of the cluster's authority and refuses strangers",
            RECOVERY,
            "`groundplane up` approves what a kubelet asked for; `kubectl get csr` shows it",
            answers_of(strangers, "serving", "kubelets present signed certificates and refuse strangers"),
            needs=(API,),
        ),
        Check(
            "kubelet-read-only-port",
            "no kubelet has its unprotected port open",
            RECOVERY,
            "somebody set readOnlyPort in the kubelet's configuration: set it to 0",
            answers_of(strangers, "readonly", "kubelets have no unprotected port"),
            needs=(API,),
        ),
        *(_sizes(topology) if size.told(topology) else ()),
    )


def _sizes(topology: Topology) -> tuple[Check, ...]:
    return (
        Check(
            "node-sizes",
            "Kubernetes counts with the memory and the processors that the file gives each node",
            RECOVERY,
            f"`systemctl restart {size.UNIT}` on that node, and `journalctl -u {size.UNIT}` tells why if it fails",
            bound(sizes, topology),
            needs=("nodes",),
            overall=True,
        ),
    )


async def sizes(reach: Reach, topology: Topology) -> str:
    known = await nodes(reach, topology)
    wrong = []
    for machine in topology.nodes:
        node, cpus = known.get(machine.name), size.processors(machine)
        # The computer may have fewer processors than the file gives.
        if node is not None and (node.memory != machine.memory or not 0 < node.cpus <= cpus):
            told = f"{node.memory // MIB} MiB and {node.cpus} processors"
            wrong.append(f"{machine.name} tells of {told}, not of {machine.memory // MIB} MiB and {cpus}")
    if wrong:
        raise NotYet("; ".join(wrong))
    return f"{len(topology.nodes)} nodes tell of their own size"
