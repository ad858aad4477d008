"""How we know that pods and Services are reached from everywhere: real pods and nodes ask each other."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from groundplane.components.cluster.answers import Answer, answers_of
from groundplane.components.podnet.network import PodNetwork
from groundplane.state.step import Reach
from groundplane.topology.model import Topology
from groundplane.verify.check import RECOVERY, Check

PODS = "probe-pods"
"""The check without which nothing can be asked from pods."""


def checks(
    topology: Topology, network: PodNetwork, pods: Callable[[Reach], Awaitable[tuple[Answer, ...]]]
) -> tuple[Check, ...]:
    """``pods``: what the pods of one look were answered."""
    remedy = f"{network.shown_by} and {network.link} on the nodes named"
    service = "`kubectl -n kube-system logs ds/kube-proxy` and `nft list table ip kube-proxy` on the nodes named"
    count = len(topology.nodes)

    async def begun(reach: Reach) -> str:
        await pods(reach)
        return f"a pod runs on each of {count} nodes"

    return (
        Check(
            PODS,
            "a pod that asks for nothing begins on every node",
            RECOVERY,
            "`journalctl -u kubelet` and `journalctl -u containerd` on the node named tell more",
            begun,
            needs=("nodes",),
        ),
        Check(
            "pod-network",
            "pods of every node reach the pods of every node, with 64 KiB there and back",
            RECOVERY,
            remedy,
            answers_of(pods, "pod", f"pods of {count} nodes reach each other", least=count * count),
            needs=(PODS,),
        ),
        Check(
            "services-from-pods",
            "pods of every node reach a Service, with 64 KiB there and back",
            RECOVERY,
            service,
            answers_of(pods, "service", f"pods of {count} nodes reach a Service", least=count),
            needs=(PODS,),
        ),
        Check(
            "services-from-nodes",
            "every node reaches a Service, with 64 KiB there and back",
            RECOVERY,
            service,
            answers_of(pods, "node", f"{count} nodes reach a Service", least=count),
            needs=(PODS,),
        ),
        Check(
            "host-ports",
            "every node reaches a pod through a port of every node",
            RECOVERY,
            "`nft list ruleset` on the node named must show the port; the pods' network lays it when a pod begins: "
            "delete pods that have one, and they begin anew",
            answers_of(pods, "hostport", f"{count} nodes reach each other's ports", least=count * count),
            needs=(PODS,),
        ),
        Check(
            "kube-proxy-mode",
            "kube-proxy uses nftables on every node",
            RECOVERY,
            "the ConfigMap kube-system/kube-proxy says which; delete kube-proxy's pods after changing it",
            answers_of(pods, "proxy", f"kube-proxy uses nftables on {count} nodes", least=count),
            needs=(PODS,),
        ),
    )
