"""Whether the other control planes can carry the cluster while one is worked on, or when it has gone."""

from __future__ import annotations

import asyncio

from groundplane.components.cluster.api import api_server, kubectl
from groundplane.components.etcd.members import ETCDCTL, LOCAL_ETCD, etcd_members, member_of, unwell
from groundplane.errors import StepError, TransportError
from groundplane.spec.roles import Role
from groundplane.state.step import Reach
from groundplane.topology.model import Machine, Topology
from groundplane.verify.check import RECOVERY, Check
from groundplane.verify.condition import NotYet


def spare(topology: Topology, machine: Machine) -> Check | None:
    """The check that a majority of etcd stands without ``machine``; None for machines that hold no vote in it, and
    for a lone control plane, whose absence nobody can make up for."""
    if not (others := _others(topology, machine)):
        return None
    return Check(
        name=f"spare-etcd:{machine.name}",
        title=f"etcd has a majority and the API answers without {machine.name}",
        deadline=RECOVERY,
        remedy="mend the control planes that don't answer first; `groundplane status` shows them",
        probe=lambda reach: _majority(reach, topology, others, len(topology.control_planes) // 2 + 1),
    )


def _others(topology: Topology, machine: Machine) -> tuple[Machine, ...]:
    """The control planes besides ``machine``; none where it is no control plane."""
    if not machine.has(Role.CONTROL_PLANE):
        return ()
    return tuple(other for other in topology.control_planes if other.name != machine.name)


async def _majority(reach: Reach, topology: Topology, others: tuple[Machine, ...], needed: int) -> str:
    async def well(machine: Machine) -> str:
        try:
            await reach.run(machine.name, (*ETCDCTL, LOCAL_ETCD, "endpoint", "health"), timeout=20)
            server = f"--server={api_server(topology, machine)}"
            await reach.run(machine.name, kubectl(server, "get", "--raw=/readyz"), timeout=20)
        except TransportError:
            return ""
        return machine.name

    answers = await asyncio.gather(*(well(machine) for machine in others))
    healthy = [name for name in answers if name]
    if len(healthy) < needed:
        raise NotYet(f"{needed} others are needed, well are {', '.join(healthy) or 'none'}")
    return f"{', '.join(healthy)} carry on"


def without(topology: Topology, machine: Machine) -> Check | None:
    """The check that the others' members of etcd are all well, for a control plane whose vote goes with it: that one
    may be the one that is needed. None where there are no others.

    What is yet to join isn't counted, for that comes first; nor is it asked where the member that goes isn't well
    itself and takes nothing away.
    """
    if not (others := _others(topology, machine)):
        return None
    return Check(
        name=f"without-etcd:{machine.name}",
        title=f"every other member of etcd is well when {machine.name}'s goes",
        deadline=RECOVERY,
        remedy="mend that one first",
        probe=lambda reach: _all_well(reach, topology, machine, others),
    )


async def _all_well(reach: Reach, topology: Topology, machine: Machine, others: tuple[Machine, ...]) -> str:
    witness, members = await etcd_members(reach, topology)
    theirs = [member_of(members, other) for other in others]
    voting = [member for member in theirs if member is not None and member.started and member.voting]
    going = member_of(members, machine)
    found = await unwell(reach, witness, [*voting, *([going] if going else [])])
    if going is None or going in found:
        return f"etcd has nothing that is well on {machine.name}"
    if found:
        raise NotYet(f"not well: {', '.join(member.name for member in found)}")
    return f"well: {', '.join(member.name for member in voting)}"


async def ails(reach: Reach, topology: Topology, machine: Machine) -> bool:
    """Whether ``machine`` has a member of etcd that doesn't serve while a majority does; without it nobody can tell."""
    if not _others(topology, machine):
        return False
    try:
        witness, members = await etcd_members(reach, topology)
    except StepError:
        return False
    member = member_of(members, machine)
    return member is not None and bool(await unwell(reach, witness, [member]))
