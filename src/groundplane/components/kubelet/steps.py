"""The kubelet's one act: have the certificate it serves with approved."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence

from groundplane.components.cluster import paths
from groundplane.components.cluster.names import join_name
from groundplane.components.kubelet import serving
from groundplane.components.kubelet.remote.approve import Request
from groundplane.errors import StepError
from groundplane.state.step import Reach, Step
from groundplane.topology.model import Machine, Topology


def serving_name(machine: Machine) -> str:
    """The name of the step after which the kubelet of ``machine`` can be talked to."""
    return f"kubelet-serving:{machine.name}"


def step(
    topology: Topology,
    machine: Machine,
    certified: Callable[[Reach], Awaitable[bool]],
    pending: Callable[[Reach], Awaitable[Sequence[Request]]],
) -> Step:
    """``certified``: whether ``machine``'s kubelet has a good certificate; ``pending``: every kubelet's requests."""

    async def probe(reach: Reach) -> bool:
        try:
            has_one, requests = await asyncio.gather(certified(reach), pending(reach))
        except StepError:
            return False
        return has_one and not serving.of(requests, machine)

    async def act(reach: Reach) -> None:
        if not await certified(reach) and await serving.present(reach, machine):
            # One that isn't good: the kubelet asks for another when it begins without any.
            await reach.run(machine.name, ("rm", "-f", paths.SERVING))
            await reach.run(machine.name, ("systemctl", "restart", "kubelet"))
        await serving.approve(reach, topology, machine, deadline=120)

    return Step(
        name=serving_name(machine),
        machine=machine.name,
        why="let the cluster's authority sign what its kubelet serves with, for exactly its own names",
        probe=probe,
        act=act,
        needs=(join_name(machine),),
        needs_machines=(machine.name,),
        deadline=180,
    )
