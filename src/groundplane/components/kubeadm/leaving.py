"""How a machine leaves the cluster, dead or alive: its pods go elsewhere, its API server stops in order, its member of
etcd is taken out, and the cluster forgets the node.

Every Step is asked of those that stay, so that one that is gone can leave as well. What can only be done on the machine
itself is left out where it doesn't answer.
"""

from __future__ import annotations

from contextlib import suppress
from typing import Final

from groundplane.components.cluster import draining
from groundplane.components.cluster.api import ask, kubectl, nodes
from groundplane.components.cluster.names import ETCD, STATIC_PODS
from groundplane.components.etcd.members import (
    Member,
    etcd_members,
    hand_over,
    member_of,
    remove_member,
    unwell,
)
from groundplane.components.kubeadm.config import LETS_GO, SERVES_ON
from groundplane.errors import StepError, TransportError
from groundplane.spec.roles import Role
from groundplane.state.step import Reach, Step
from groundplane.topology.model import Machine, Topology

_SERVERS: Final = tuple(name for name in STATIC_PODS if name != ETCD)
_GRACE: Final = SERVES_ON + LETS_GO + 12
"""Seconds an API server gets to answer what was asked before: it takes no more after the first few."""

_COMM: Final = "|".join(name[:15] for name in _SERVERS)  # as the kernel cuts a process's name: TASK_COMM_LEN, proc(5)
# Without its kubelet nothing starts them again.
_STOP: Final = f"""systemctl stop kubelet
pkill -TERM -x '{_COMM}'
timeout {_GRACE} sh -c "while pgrep -x '{_COMM}' >/dev/null; do sleep 0.1; done" ||
  pkill -KILL -x '{_COMM}' || true
"""


def leaving(topology: Topology, machine: Machine) -> tuple[Step, ...]:
    """The Steps by which ``machine`` leaves the cluster of ``topology``, which doesn't have it any more."""
    if not machine.is_node:
        return ()
    if not machine.has(Role.CONTROL_PLANE):
        return (_drain(topology, machine), _forget(topology, machine))
    return (
        _drain(topology, machine),
        _stop_serving(topology, machine),
        _leave_etcd(topology, machine),
        _forget(topology, machine),
    )


def _drain(topology: Topology, machine: Machine) -> Step:
    async def probe(reach: Reach) -> bool:
        return await draining.empty(reach, topology, machine)

    async def act(reach: Reach) -> None:
        await draining.drain(reach, topology, machine)

    return Step(
        name=f"drain:{machine.name}",
        machine=machine.name,
        why="have its pods run elsewhere before it goes",
        probe=probe,
        act=act,
        deadline=draining.PATIENCE + 60,
    )


def _stop_serving(topology: Topology, machine: Machine) -> Step:
    async def probe(reach: Reach) -> bool:
        try:
            answer = await reach.run(machine.name, ("pgrep", "-x", _COMM), timeout=15, check=False)
        except TransportError:
            return True
        return answer.status != 0

    async def act(reach: Reach) -> None:
        await hand_over(reach, topology, machine)
        await reach.run(machine.name, ("sh", "-c", _STOP), timeout=_GRACE + 30)

    return Step(
        name=f"stop-serving:{machine.name}",
        machine=machine.name,
        why="stop its API server in order, so that every client finds another one",
        probe=probe,
        act=act,
        deadline=_GRACE + 90,
    )


def _leave_etcd(topology: Topology, machine: Machine) -> Step:
    async def probe(reach: Reach) -> bool:
        _, members = await etcd_members(reach, topology)
        return member_of(members, machine) is None

    async def act(reach: Reach) -> None:
        witness, members = await etcd_members(reach, topology)
        member = member_of(members, machine)
        if member is None:
            return
        await _others_well(reach, witness, members, member)
        await remove_member(reach, witness, member)

    return Step(
        name=f"leave-etcd:{machine.name}",
        machine=machine.name,
        why="take its vote out of etcd, so that the others' majority is their own",
        probe=probe,
        act=act,
        deadline=120,
    )


def _forget(topology: Topology, machine: Machine) -> Step:
    async def probe(reach: Reach) -> bool:
        return machine.name not in await nodes(reach, topology)

    async def act(reach: Reach) -> None:
        with suppress(TransportError):  # One that runs would report on a node that is no more; a dead one doesn't.
            await reach.run(machine.name, ("systemctl", "stop", "kubelet"), timeout=90)
        await ask(
            reach, topology, kubectl("delete", "node", machine.name, "--ignore-not-found", "--wait=true"), timeout=60
        )

    return Step(
        name=f"forget:{machine.name}",
        machine=machine.name,
        why="have the cluster forget the node, and give up what it still counts there",
        probe=probe,
        act=act,
        deadline=180,
    )


async def _others_well(reach: Reach, witness: str, members: tuple[Member, ...], going: Member) -> None:
    """StepError where a member that is well would go while another one isn't: its vote may be the one that is needed.

    One that isn't well itself takes nothing away; etcd refuses where too few would remain.
    """
    found = await unwell(reach, witness, members)
    if found and going not in found:
        raise StepError(
            f"another member of etcd isn't well: {', '.join(member.name or member.peer for member in found)}",
            where=going.name,
            hint="mend that one first, or let it leave if it is gone: one at a time keeps the majority",
        )
