"""How we know that names resolve: pods ask."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from groundplane.components.cluster.answers import Answer, answers_of
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
        ),
    )
