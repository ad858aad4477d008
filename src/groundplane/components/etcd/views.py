"""etcd as its members see it: each asked for itself, so that disagreement shows."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from groundplane.components.cluster.api import loads
from groundplane.components.etcd.members import ETCDCTL, LOCAL_ETCD, Member, parse_members
from groundplane.errors import StepError, TransportError
from groundplane.state.step import Reach
from groundplane.topology.model import Machine, Topology

_SCRIPT = f"""set -e
{" ".join(ETCDCTL)} {LOCAL_ETCD} endpoint status --write-out=json
echo
{" ".join(ETCDCTL)} {LOCAL_ETCD} member list --write-out=json
"""


@dataclass(frozen=True, slots=True)
class View:
    """What one member says of the cluster. ``applied`` is the index of the last raft entry it has applied."""

    machine: str
    id: int
    cluster: int
    leader: int
    term: int
    applied: int
    learner: bool
    size: int  # bytes of its database
    errors: tuple[str, ...]
    members: tuple[Member, ...]
    version: str = ""


@dataclass(frozen=True, slots=True)
class Silent:
    """A member that didn't answer, and why."""

    machine: str
    reason: str


async def views(reach: Reach, topology: Topology) -> tuple[View | Silent, ...]:
    """Every control plane's view, in the topology's order."""
    return tuple(await asyncio.gather(*(_view(reach, machine) for machine in topology.control_planes)))


async def _view(reach: Reach, machine: Machine) -> View | Silent:
    try:
        answer = await reach.run(machine.name, ("sh", "-c", _SCRIPT), timeout=20)
        return parse_view(machine.name, answer.text)
    except (TransportError, StepError) as error:
        return Silent(machine.name, error.detail or error.what)


def parse_view(machine: str, text: str) -> View:
    """Read the two JSON documents the script prints, one per line."""
    lines = [line for line in text.splitlines() if line.strip()]
    if len(lines) != 2:
        raise StepError("etcdctl printed something unexpected", where=machine, detail=text[-500:])
    status = loads(f'{{"all": {lines[0]}}}')["all"][0]["Status"]
    header = status["header"]
    return View(
        machine=machine,
        id=int(header["member_id"]),
        cluster=int(header["cluster_id"]),
        leader=int(status.get("leader", 0)),
        term=int(status.get("raftTerm", 0)),
        applied=int(status.get("raftAppliedIndex", 0)),
        learner=bool(status.get("isLearner", False)),
        size=int(status.get("dbSize", 0)),
        errors=tuple(status.get("errors") or ()),
        members=parse_members(lines[1]),
        version=str(status.get("version", "")),
    )


def disagreement(views: tuple[View | Silent, ...], *, lag: int = 1000) -> str:
    """What is wrong with etcd as its members see it; empty when nothing is.

    ``lag`` is how many raft entries a member may be behind the first: reads at slightly different moments differ.
    """
    for silent in views:
        if isinstance(silent, Silent):
            return f"{silent.machine} doesn't answer: {silent.reason}"
    there = [view for view in views if isinstance(view, View)]
    for view in there:
        if view.errors:
            return f"{view.machine} reports {', '.join(view.errors)}"
        if view.learner:
            return f"{view.machine} doesn't vote yet"
        if not view.leader:
            return f"{view.machine} knows no leader"
    first = there[0]
    for view in there[1:]:
        seen = {
            "cluster": (first.cluster, view.cluster),
            "leader": (first.leader, view.leader),
            "term": (first.term, view.term),
            "members": (first.members, view.members),
        }
        for what, (one, other) in seen.items():
            if one != other:
                return f"{first.machine} and {view.machine} disagree about the {what}"
    names = {member.name or member.peer for member in first.members}
    if names != {view.machine for view in there}:
        return f"its members are {', '.join(sorted(names))}, not the control planes"
    behind = max(view.applied for view in there) - min(view.applied for view in there)
    return f"one member is {behind} entries behind" if behind > lag else ""
