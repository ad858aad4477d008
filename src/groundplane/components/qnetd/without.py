"""Whether the balancers are a majority of their own while the gateway, and the third vote with it, is away."""

from __future__ import annotations

from groundplane.components.corosync import quorum
from groundplane.spec.roles import Role
from groundplane.state.step import Reach
from groundplane.topology.model import Machine, Topology
from groundplane.verify.check import RECOVERY, Check
from groundplane.verify.condition import NotYet


def without(topology: Topology, machine: Machine) -> Check | None:
    """The check that every balancer is a member, where the gateway has a vote; None for other machines."""
    if not machine.has(Role.GATEWAY) or not topology.third_vote:
        return None
    return Check(
        name=f"without-vote:{machine.name}",
        title="the balancers are a majority without the gateway's vote",
        deadline=RECOVERY,
        remedy="bring back the balancer that is missing first; `groundplane status` shows them",
        probe=lambda reach: _together(reach, topology),
    )


async def _together(reach: Reach, topology: Topology) -> str:
    names = sorted(machine.name for machine in topology.balancers)
    for name in names:
        seen = await quorum.seen_by(reach, name)
        if not seen.quorate or sorted(seen.members) != names:
            raise NotYet(f"{name}: {seen}")
    return f"{', '.join(names)} see each other"
