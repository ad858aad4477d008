"""Whether the other balancers can carry the floating address while one is worked on."""

from __future__ import annotations

from groundplane.components.pacemaker.checks import LOOK
from groundplane.components.pacemaker.status import seen_by
from groundplane.spec.model import Standby
from groundplane.spec.roles import Role
from groundplane.state.step import Reach
from groundplane.topology.model import Machine, Topology
from groundplane.verify.check import RECOVERY, Check
from groundplane.verify.condition import NotYet


def spare(topology: Topology, machine: Machine) -> Check | None:
    """The check that the balancers beside ``machine`` could hold the address; None where there is none to ask.

    All of them are asked: each is needed for the majority while ``machine`` has no voice.
    """
    others = tuple(balancer for balancer in topology.balancers if balancer != machine)
    if not machine.has(Role.BALANCER) or not others:
        return None
    names = " and ".join(other.name for other in others)
    return Check(
        name=f"spare-address:{machine.name}",
        title=f"{names} can hold the floating address while {machine.name} is worked on",
        deadline=RECOVERY,
        remedy=f"mend {names} first; {LOOK}",
        probe=lambda reach: _fit(reach, topology, others),
    )


async def _fit(reach: Reach, topology: Topology, others: tuple[Machine, ...]) -> str:
    for other in others:
        view = await seen_by(reach, other.name)
        if not view.quorate:
            raise NotYet(f"{other.name} has no quorum")
        if other.name not in view.online:
            raise NotYet(f"{other.name} isn't online in Pacemaker")
        if topology.spec.balancers.standby is Standby.HOT and other.name not in view.haproxy_on:
            raise NotYet(f"HAProxy doesn't run on {other.name}")
    names = " and ".join(other.name for other in others)
    return f"{names} {'is' if len(others) == 1 else 'are'} online and quorate"
