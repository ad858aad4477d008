"""The pod network's one act on a node: its bridge is up, and nothing there is of a range the node no longer has."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping

from groundplane.components.cluster.api import Node
from groundplane.components.cluster.names import join_name
from groundplane.components.podnet.identity import begin_anew, stale
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
    async def node(reach: Reach) -> Node | None:
        return (await nodes(reach)).get(machine.name)

    async def probe(reach: Reach) -> bool:
        """A node the cluster doesn't know, or hasn't given a range yet, has nothing to compare with: it must join."""
        try:
            known = await node(reach)
        except StepError:
            return False
        return known is None or known.pods is None or not await stale(reach, machine, network, known.pods)

    async def act(reach: Reach) -> None:
        known = await node(reach)
        if known is not None and known.pods is not None:
            found = await stale(reach, machine, network, known.pods)
            await begin_anew(reach, topology, machine, network, found)

    async def instead(reach: Reach) -> tuple[str, float | None]:
        known = await node(reach)
        if known is None or known.pods is None:
            return "", None
        found = await stale(reach, machine, network, known.pods)
        return f"{', '.join(str(one) for one in found)}, its pods' range is {known.pods}", None

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
