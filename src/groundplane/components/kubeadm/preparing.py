"""What a control plane needs before it joins, made while the cluster begins and others take their turns.

Every control plane holds the authorities, so it needs nobody else for its certificates and kubeconfigs. Nothing waits
for it in vain: a join makes what is missing itself.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from groundplane.components.cluster import paths
from groundplane.components.cluster.names import INIT, certificates_name, prepare_name
from groundplane.components.kubeadm.facts import Facts
from groundplane.components.kubeadm.run import idle, kubeadm
from groundplane.errors import TransportError
from groundplane.state.step import Reach, Step
from groundplane.topology.model import Machine, Topology

DEADLINE = 300.0

# What is left: the checks, the images, the certificates and the kubeconfigs.
_SKIPPED = (
    "kubeconfig/super-admin",
    "etcd",
    "control-plane",
    "kubelet-start",
    "wait-control-plane",
    "upload-config",
    "upload-certs",
    "mark-control-plane",
    "bootstrap-token",
    "kubelet-finalize",
    "addon",
    "show-join-command",
)


def step(topology: Topology, machine: Machine, facts: Callable[[Reach], Awaitable[Facts]]) -> Step:
    """``facts``: what ``machine`` knows of itself. One where anything was begun is left to its join."""

    async def probe(reach: Reach) -> bool:
        try:
            return not (await facts(reach)).untouched
        except TransportError:
            return False

    async def act(reach: Reach) -> None:
        await idle(reach, topology, machine, deadline=DEADLINE)
        if not await probe(reach):
            await prepare(reach, machine)

    # The cluster begins on the first one, unless it stands.
    begun = (INIT,) if machine == topology.control_planes[0] else ()
    # What is being made would be taken for what is no good.
    judged = certificates_name(machine)
    return Step(
        name=prepare_name(machine),
        machine=machine.name,
        why="fetch the images of a control plane and make its certificates, while others are at work",
        probe=probe,
        act=act,
        needs=(judged, *begun),
        needs_machines=tuple(dict.fromkeys((topology.gateway.name, machine.name))),
        deadline=DEADLINE * 2,
    )


async def prepare(reach: Reach, machine: Machine) -> None:
    """Make all that a join of ``machine`` needs, where kubeadm has begun nothing yet."""
    arguments = ("init", f"--config={paths.INIT}", f"--skip-phases={','.join(_SKIPPED)}")
    await kubeadm(reach, machine.name, *arguments, deadline=DEADLINE, unit=paths.PREPARING)
    await reach.run(machine.name, ("touch", paths.PREPARED))
