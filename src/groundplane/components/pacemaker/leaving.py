"""How a balancer leaves the others: the address goes first, then its Pacemaker and its Corosync end.

What is left of it afterwards goes by other ways: Corosync's list of members is a file of the machines that stay, and
Pacemaker's memory of it is part of its configuration (``steps.py``).
"""

from __future__ import annotations

from groundplane.components.corosync import quorum
from groundplane.components.corosync.fragment import QDEVICE_UNIT
from groundplane.components.corosync.fragment import UNIT as COROSYNC_UNIT
from groundplane.components.pacemaker.fragment import LEASE_UNIT, UNIT
from groundplane.components.pacemaker.living import PATIENCE, SETTLE, Living, awaited, living, settled
from groundplane.errors import CommandTimeout, StepError, TransportError, Unreachable
from groundplane.spec.roles import Role
from groundplane.state.step import Reach, Step
from groundplane.topology.model import Machine, Topology
from groundplane.verify.condition import NotYet

UNITS = (UNIT, QDEVICE_UNIT, COROSYNC_UNIT, LEASE_UNIT)
"""In the order in which they end: each leans on the next."""


def leaving(topology: Topology, machine: Machine) -> tuple[Step, ...]:
    """The Steps by which balancer ``machine`` leaves those of ``topology``, which doesn't have it any more.

    None for the last one: nobody is left who could take over.
    """
    if not machine.has(Role.BALANCER) or not topology.balancers:
        return ()
    away = _away(topology, machine)
    return (away, _ended(topology, machine, after=away.name))


def _away(topology: Topology, machine: Machine) -> Step:
    async def look(reach: Reach) -> Living:
        return await living(reach, topology)

    async def probe(reach: Reach) -> bool:
        try:
            view = (await look(reach)).view
        except StepError:
            return False
        return machine.name not in view.holders and machine.name not in view.haproxy_on

    async def act(reach: Reach) -> None:
        there = await awaited(reach, topology)
        at = there.balancer
        await _majority_without(reach, at, machine)
        # Only until its Pacemaker ends: one that comes in its place under its name is no standby.
        await reach.run(
            at,
            ["crm_attribute", f"--node={machine.name}", "--name=standby", "--update=on", "--lifetime=reboot"],
            timeout=PATIENCE,
        )
        await settled(reach, at)

    return Step(
        name=f"address-away:{machine.name}",
        machine=machine.name,
        why="have another balancer hold the floating address before this one goes",
        probe=probe,
        act=act,
        deadline=SETTLE + 120,
        early=True,
    )


async def _majority_without(reach: Reach, at: str, machine: Machine) -> None:
    """StepError where those that stay, and the third vote, would be no majority once ``machine`` has gone."""
    seen = await quorum.seen_by(reach, at)
    if machine.name in seen.members and seen.total - 1 <= seen.expected // 2:
        raise StepError(
            f"without it the others have no majority: {at} sees {seen}",
            where=machine.name,
            hint="bring back the balancer or the gateway's vote that is missing, then run the same command again",
        )


def _ended(topology: Topology, machine: Machine, *, after: str) -> Step:
    async def probe(reach: Reach) -> bool:
        try:
            there = await living(reach, topology)
            members = (await quorum.seen_by(reach, there.balancer)).members
        except (StepError, TransportError, NotYet):
            return False
        return machine.name not in members and machine.name not in there.view.online

    async def act(reach: Reach) -> None:
        await _majority_without(reach, (await awaited(reach, topology)).balancer, machine)
        try:
            for unit in UNITS:
                await reach.run(machine.name, ["systemctl", "disable", "--now", unit], timeout=120, check=False)
        except (Unreachable, CommandTimeout) as error:
            raise StepError(
                "it can't be reached, and yet the other balancers have it among them",
                where=machine.name,
                hint="switch it off, then run the same command again",
                detail=str(error),
            ) from error

    return Step(
        name=f"balancer-ended:{machine.name}",
        machine=machine.name,
        why="end its Pacemaker and its Corosync, so that the others know that it left",
        probe=probe,
        act=act,
        needs=(after,),
        deadline=5 * 120 + 60,
        early=True,
    )
