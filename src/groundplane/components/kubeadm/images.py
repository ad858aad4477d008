"""Control planes' images ahead of time: while one begins the cluster, those that wait their turn fetch theirs.

Nothing waits for it: kubeadm fetches what is missing itself.
"""

from __future__ import annotations

from groundplane.components.cluster import paths
from groundplane.components.pod_network import POD_NETWORK
from groundplane.errors import TransportError
from groundplane.state.step import Reach, Step
from groundplane.topology.model import Machine, Topology

DEADLINE = 300.0


def images_name(machine: Machine) -> str:
    """The name of the step that fetches ``machine``'s images."""
    return f"images:{machine.name}"


def step(topology: Topology, machine: Machine) -> Step:
    software = topology.software
    wanted = set(software.images) - {software.pause_image, POD_NETWORK.image(software), software.probe_image}

    async def probe(reach: Reach) -> bool:
        argv = ("ctr", "--namespace=k8s.io", "images", "ls", "--quiet")
        try:
            answer = await reach.run(machine.name, argv, timeout=30)
        except TransportError:
            return False
        return wanted <= set(answer.text.split())

    async def act(reach: Reach) -> None:
        # Not as the unit of the other kubeadm runs: it changes nothing they would have to wait for.
        argv = ("kubeadm", "config", "images", "pull", f"--config={paths.INIT}")
        await reach.run(machine.name, argv, timeout=DEADLINE - 30)

    return Step(
        name=images_name(machine),
        machine=machine.name,
        why="fetch the images of a control plane while others are at work",
        probe=probe,
        act=act,
        needs_machines=tuple(dict.fromkeys((topology.gateway.name, machine.name))),
        deadline=DEADLINE,
    )
