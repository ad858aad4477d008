"""Whether the other balancer can carry the floating address while one is worked on."""

from __future__ import annotations

from groundplane.components.pacemaker.checks import LOOK
from groundplane.components.pacemaker.status import seen_by
from groundplane.spec.model import Role, Standby
from groundplane.state.step import Reach
from groundplane.topology.model import Machine, Topology
from groundplane.verify.check import RECOVERY, Check
from groundplane.verify.condition import NotYet


def spare(topology: Topology, machine: Machine) -> Check | None:
    """The check that the balancer beside ``machine`` could hold the address; None where there is none to ask."""
    others = [balancer for balancer in topology.balancers if balancer != machine]
    if machine.role is not Role.BALANCER or not others:
        return None
    other = others[0]
    return Check(
        name=f"spare:{machine.name}",
        title=f"{other.name} can hold the floating address while {machine.name} is worked on",
        deadline=RECOVERY,
        remedy=f"mend {other.name} first; {LOOK}",
        probe=lambda reach: _fit(reach, topology, other),
    )


async def _fit(reach: Reach, topology: Topology, other: Machine) -> str:
    view = await seen_by(reach, other.name)
    if not view.quorate:
        raise NotYet(f"{other.name} has no quorum")
    if other.name not in view.online:
        raise NotYet(f"{other.name} isn't online in Pacemaker")
    if topology.spec.balancers.standby is Standby.HOT and other.name not in view.haproxy_on:
        raise NotYet(f"HAProxy doesn't run on {other.name}")
    return f"{other.name} is online and quorate"
