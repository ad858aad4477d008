"""How we know that names resolve: pods ask."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from groundplane.components.cluster.answers import Answer, answers_of
from groundplane.components.podnet.checks import PODS
from groundplane.state.step import Reach
from groundplane.topology.model import Topology
from groundplane.verify.check import RECOVERY, Check


def checks(topology: Topology, pods: Callable[[Reach], Awaitable[tuple[Answer, ...]]]) -> tuple[Check, ...]:
    """``pods``: what the pods of one look were answered."""
    count = len(topology.nodes)
    return (
        Check(
            "cluster-dns",
            "pods of every node resolve names through CoreDNS",
            RECOVERY,
            "`kubectl -n kube-system get pods -l k8s-app=kube-dns` and their logs",
            answers_of(pods, "dns", f"pods of {count} nodes resolve names", least=count),
            needs=(PODS,),
        ),
        Check(
            "names-from-pods",
            "every CoreDNS tells pods of every node the names of the cluster, the LAN and the world there is",
            RECOVERY,
            "`kubectl -n kube-system logs POD` of the CoreDNS named; it asks the gateway for what isn't the cluster's: "
            "see the check `names`, and `journalctl -u dnsmasq` there",
            answers_of(pods, "name", f"pods of {count} nodes are told all names by each CoreDNS", least=2 * count),
            needs=(PODS,),
        ),
    )
