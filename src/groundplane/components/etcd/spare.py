"""Whether the other control planes can carry the cluster while one is worked on."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Final

from groundplane.components.cluster.api import api_server, kubectl
from groundplane.components.etcd.members import ETCDCTL, LOCAL_ETCD
from groundplane.errors import TransportError
from groundplane.spec.roles import Role
from groundplane.state.step import Reach
from groundplane.topology.model import Machine, Topology
from groundplane.verify.check import RECOVERY, Check
from groundplane.verify.condition import NotYet

_ETCD, _API = "etcd", "api"
_ALL: Final = frozenset({_ETCD, _API})
SURE: Final = 10.0
"""Seconds for which a control plane must have been of no use before it counts as that: one moment may be a busy one."""


def spare(topology: Topology, machine: Machine) -> Check | None:
    """The check that a majority of etcd stands while ``machine`` is worked on; None for machines that hold no vote in
    it, and for a lone control plane, whose absence nobody can make up for.

    What the others lack and it doesn't do itself either, it can't take from anybody: it may be what is to be mended.
    """
    return _check("spare-etcd", topology, machine, [])


def without(topology: Topology, machine: Machine) -> Check | None:
    """The check that a majority stands once ``machine`` is gone for good, of use or not: its data may be what is
    missing to one."""
    return _check("without-etcd", topology, machine, None)


def _check(name: str, topology: Topology, machine: Machine, useless: list[float] | None) -> Check | None:
    """``useless``: when it was seen to be so, for how long that counts; None: whether it is doesn't matter."""
    others = tuple(other for other in topology.control_planes if other != machine)
    if not machine.has(Role.CONTROL_PLANE) or not others:
        return None

    async def probe(reach: Reach) -> str:
        seen = await asyncio.gather(*(_does(reach, topology, each) for each in topology.control_planes))
        does = dict(zip((each.name for each in topology.control_planes), seen, strict=True))
        well = [other.name for other in others if does[other.name] == _ALL]
        needed = len(topology.control_planes) // 2 + 1
        lacking = {part for part in _ALL if sum(part in does[other.name] for other in others) < needed}
        if not lacking:
            return f"{', '.join(well)} carry on"
        now = asyncio.get_running_loop().time()
        if useless is not None and lacking.isdisjoint(does[machine.name]):
            useless.append(now)
            if now - useless[0] >= SURE:
                return f"{machine.name} has had no part in it for {SURE:.0f} s"
        elif useless is not None:
            useless.clear()
        raise NotYet(f"{needed} others are needed, well are {', '.join(well) or 'none'}")

    return Check(
        name=f"{name}:{machine.name}",
        title=f"etcd has a majority and the API answers without {machine.name}",
        deadline=RECOVERY,
        remedy="mend the control planes that don't answer first; `groundplane status` shows them",
        probe=probe,
    )


async def _does(reach: Reach, topology: Topology, machine: Machine) -> frozenset[str]:
    """What of ``_ALL`` the machine does."""
    server = f"--server={api_server(topology, machine)}"
    asked = {
        _ETCD: (*ETCDCTL, LOCAL_ETCD, "endpoint", "health"),
        _API: kubectl(server, "get", "--raw=/readyz"),
    }
    done = set()
    for part, argv in asked.items():
        with suppress(TransportError):
            await reach.run(machine.name, argv, timeout=20)
            done.add(part)
    return frozenset(done)
