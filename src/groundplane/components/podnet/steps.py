"""The pod network's one act on a node: its bridge is up, and nothing there is of a range the node no longer has."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from ipaddress import IPv4Network

from groundplane.components.cluster.api import Node
from groundplane.components.cluster.names import join_name
from groundplane.components.podnet.identity import Stale, begin_anew, links_of, stale
from groundplane.components.podnet.network import PodNetwork
from groundplane.errors import StepError
from groundplane.state.step import Reach, Step
from groundplane.topology.model import Machine, Topology


def step(
    topology: Topology,
    machine: Machine,
    network: PodNetwork,
    nodes: Callable[[Reach], Awaitable[Mapping[str, Node]]],
) -> Step:
    async def look(reach: Reach) -> tuple[IPv4Network | None, tuple[Stale, ...]]:
        """The range of its pods, and what isn't of it. A node the cluster doesn't know, or hasn't given a range yet,
        has nothing to compare with: it must join. Cluster and machine are asked at once."""
        known, links = await asyncio.gather(nodes(reach), links_of(reach, machine))
        pods = known[machine.name].pods if machine.name in known else None
        return pods, stale(links, network, pods) if pods else ()

    async def probe(reach: Reach) -> bool:
        try:
            _, found = await look(reach)
        except StepError:
            return False
        return not found

    async def act(reach: Reach) -> None:
        pods, found = await look(reach)
        if pods:
            await begin_anew(reach, topology, machine, network, found)

    async def instead(reach: Reach) -> tuple[str, float | None]:
        pods, found = await look(reach)
        return f"{', '.join(map(str, found))}, its pods' range is {pods}" if pods else "", None

    return Step(
        name=f"pod-network:{machine.name}",
        machine=machine.name,
        why="have its pods' bridge up, and nothing there for another range of addresses: pods begin anew then",
        probe=probe,
        act=act,
        needs=(join_name(machine),),
        needs_machines=(machine.name,),
        deadline=180,
        instead=instead,
    )
