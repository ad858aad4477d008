"""etcd's members: who they are, when all of them are well, and taking one out.

Asked through `etcdctl` on a control plane, with the certificate kubeadm makes for looking at its health.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final

from groundplane.components.cluster.api import HEDGE, PATIENCE, first_answer, loads
from groundplane.components.cluster.paths import PKI
from groundplane.errors import StepError, TransportError
from groundplane.state.step import Reach
from groundplane.topology.model import Machine, Topology
from groundplane.verify.condition import NotYet, wait_until

SETTLE_DEADLINE = 90.0
ETCDCTL = (
    "etcdctl",
    "--command-timeout=5s",
    "--dial-timeout=2s",
    f"--cacert={PKI}/etcd/ca.crt",
    f"--cert={PKI}/etcd/healthcheck-client.crt",
    f"--key={PKI}/etcd/healthcheck-client.key",
)
CLIENTS: Final = 2379
"""The port at which etcd serves its clients."""
LOCAL_ETCD = f"--endpoints=https://127.0.0.1:{CLIENTS}"


@dataclass(frozen=True, slots=True)
class Member:
    """A member of the etcd cluster. ``name`` is empty until it has started for the first time."""

    id: int
    name: str
    peer: str
    learner: bool

    @property
    def voting(self) -> bool:
        return not self.learner

    @property
    def started(self) -> bool:
        return bool(self.name)


async def etcd_members(reach: Reach, topology: Topology, *, but: str = "") -> tuple[str, tuple[Member, ...]]:
    """A control plane whose etcd answered with a quorum behind it, and the members it named.

    The list is a linearizable read: a member that lost its quorum can't give it. ``but`` isn't asked.
    Raises StepError when no etcd answers so.
    """
    seen: list[str] = []
    names = [machine.name for machine in topology.control_planes if machine.name != but]
    argv = (*ETCDCTL, LOCAL_ETCD, "member", "list", "--write-out=json")
    answer = await first_answer(names, partial(reach.run, argv=argv, timeout=PATIENCE), HEDGE, seen)
    if answer is not None:
        return answer[0], parse_members(answer[1].text)
    raise StepError(
        "no etcd member answers with a majority behind it",
        where="platform",
        hint="bring back enough control planes for a majority; nothing is changed until then",
        detail="\n".join(seen),
    )


def parse_members(text: str) -> tuple[Member, ...]:
    """Members as ``etcdctl member list --write-out=json`` prints them."""
    return tuple(
        Member(
            id=int(entry["ID"]),
            name=entry.get("name", ""),
            peer=next(iter(entry.get("peerURLs", ())), ""),
            learner=bool(entry.get("isLearner", False)),
        )
        for entry in loads(text).get("members", ())
    )


def peer_url(machine: Machine) -> str:
    return f"https://{machine.address}:2380"


def member_of(members: Sequence[Member], machine: Machine) -> Member | None:
    """The member that lives on ``machine``, recognised by its peer address: a new one has no name yet."""
    return next((member for member in members if member.peer == peer_url(machine)), None)


def stranger(members: Sequence[Member], topology: Topology) -> Member | None:
    """A member that lives on none of the control planes: somebody added it by hand, or another program did."""
    return next((m for m in members if all(m != member_of(members, one) for one in topology.control_planes)), None)


def dismissal(member: Member, witness: str) -> str:
    """What to do about a stranger. It isn't done for anybody: one that votes may have what the others lack."""
    command = " ".join((*ETCDCTL, LOCAL_ETCD, "member", "remove", f"{member.id:x}"))
    return f"if nobody needs the one at {member.peer}: `groundplane ssh {witness} -- {command}`"


async def unwell(reach: Reach, witness: str, members: Sequence[Member]) -> list[Member]:
    """Those of ``members`` that don't serve, asked from ``witness``: one may be on a machine that the file doesn't have
    any more."""
    well = await asyncio.gather(*(_serves(reach, witness, member) for member in members))
    return [member for member, fine in zip(members, well, strict=True) if not fine]


async def _serves(reach: Reach, witness: str, member: Member) -> bool:
    if not member.started:
        return False
    endpoint = f"--endpoints={member.peer.rpartition(':')[0]}:{CLIENTS}"
    try:
        await reach.run(witness, (*ETCDCTL, endpoint, "endpoint", "health"), timeout=PATIENCE)
    except TransportError:
        return False
    return True


async def settled(reach: Reach, topology: Topology) -> None:
    """Wait until every etcd member has started, votes and is healthy."""
    await _none_waits(reach, topology, lambda member: member.learner or not member.started)


async def none_joins(reach: Reach, topology: Topology) -> None:
    """Wait until no etcd member is on its way to its vote, and all that serve clients are healthy: the next may only
    come then. Who has just got its vote may serve clients some seconds later (see ``kubeadm.joining``). Whether it is
    there is seen by etcd itself, which adds nobody before all voters have been connected for five seconds
    (``--strict-reconfig-check``)."""
    await _none_waits(reach, topology, lambda member: member.learner)


async def _none_waits(reach: Reach, topology: Topology, waits: Callable[[Member], bool]) -> None:
    async def probe() -> None:
        try:
            witness, members = await etcd_members(reach, topology)
        except StepError as error:
            raise NotYet(f"{error.what}: {error.detail}") from error
        waiting = [member.name or member.peer for member in members if waits(member)]
        if waiting:
            odd = stranger(members, topology)
            remedy = dismissal(odd, witness) if odd else ""
            raise NotYet(f"not yet voting: {', '.join(sorted(waiting))}", remedy=remedy)
        await reach.run(witness, (*ETCDCTL, LOCAL_ETCD, "endpoint", "health", "--cluster"), timeout=PATIENCE)

    await wait_until(
        "every etcd member is healthy",
        probe,
        deadline=SETTLE_DEADLINE,
        where="platform",
        hint="a control plane joins only a healthy etcd; bring back or remove the member that isn't",
    )


async def remove_member(reach: Reach, witness: str, member: Member) -> None:
    """Take a member out. etcd refuses when too few healthy ones would remain (strict-reconfig-check)."""
    await reach.run(witness, (*ETCDCTL, LOCAL_ETCD, "member", "remove", f"{member.id:x}"), timeout=PATIENCE)


async def hand_over(reach: Reach, topology: Topology, machine: Machine) -> None:
    """Have another member lead, where this one does: an election would cost clients a second."""
    _, members = await etcd_members(reach, topology)
    other = next((m for m in members if m.voting and m.started and m != member_of(members, machine)), None)
    answer = await reach.run(
        machine.name, (*ETCDCTL, LOCAL_ETCD, "endpoint", "status", "--write-out=json"), timeout=PATIENCE, check=False
    )
    if answer.status != 0 or other is None:
        return  # it doesn't lead anybody
    status = json.loads(answer.text)[0]["Status"]
    if status["leader"] == status["header"]["member_id"]:
        await reach.run(machine.name, (*ETCDCTL, LOCAL_ETCD, "move-leader", f"{other.id:x}"), timeout=PATIENCE)
