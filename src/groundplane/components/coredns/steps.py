"""CoreDNS's one act: be on more than one node."""

from __future__ import annotations

from groundplane.components.cluster.names import join_name
from groundplane.components.coredns.spread import spread, spread_out
from groundplane.components.podnet.network import PodNetwork
from groundplane.errors import StepError
from groundplane.state.step import Reach, Step
from groundplane.topology.model import Topology

NAME = "coredns-spread"


def step(topology: Topology, network: PodNetwork) -> Step:
    async def probe(reach: Reach) -> bool:
        try:
            return await spread(reach, topology)
        except StepError:
            return False

    async def act(reach: Reach) -> None:
        await spread_out(reach, topology, network)

    return Step(
        name=NAME,
        machine="platform",
        why="run CoreDNS on more than the node it began on, so that names outlive that node",
        probe=probe,
        act=act,
        # A second node is enough to choose from: the first worker, without workers whichever joined last.
        needs=(join_name((*topology.workers[:1], topology.control_planes[-1])[0]),),
        deadline=300,
    )
