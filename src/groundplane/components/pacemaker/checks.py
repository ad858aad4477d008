"""How we know that the floating address is where it should be: exactly one machine answers for it, and it is the one
Pacemaker names."""

from __future__ import annotations

import asyncio
import re

from groundplane.components.pacemaker.status import ClusterView, seen_by
from groundplane.spec.model import Standby
from groundplane.spec.roles import Role
from groundplane.state.step import Reach
from groundplane.topology.model import Machine, Topology
from groundplane.verify.check import RECOVERY, Check
from groundplane.verify.condition import NotYet

LOOK = "see `crm_mon -1` and `journalctl -u pacemaker` on a balancer"


def checks(topology: Topology) -> tuple[Check, ...]:
    return (
        Check(
            name="floating-address",
            title="The floating address is on exactly one balancer",
            deadline=RECOVERY,
            remedy=LOOK,
            probe=lambda reach: _single(reach, topology),
        ),
        Check(
            name="pacemaker",
            title="Pacemaker runs everything it should, and no action failed",
            deadline=RECOVERY,
            remedy=f"{LOOK}; `crm_resource --cleanup` forgets failures that are mended",
            probe=lambda reach: _content(reach, topology),
        ),
    )


async def answering(reach: Reach, topology: Topology) -> tuple[str, ...]:
    """The MAC addresses that answer for the floating address on the LAN, each once, sorted.

    The gateway asks. Where it is a balancer itself a second machine asks too, for nobody answers its own question; and
    where there is but one machine, whether the address is on its card is all that can be asked.
    """
    address = str(topology.lan.floating)
    if len(topology.machines) == 1:
        only = topology.gateway
        show = ["ip", "-oneline", "-4", "address", "show", "dev", only.interface, "to", f"{address}/32"]
        return (only.mac,) if (await reach.run(only.name, show, timeout=20)).text else ()
    asking = topology.machines[:2] if topology.gateway.has(Role.BALANCER) else (topology.gateway,)
    answers = await asyncio.gather(*(_arping(reach, machine, address) for machine in asking))
    return macs("\n".join(answers))


async def _arping(reach: Reach, machine: Machine, address: str) -> str:
    # ``-b`` keeps broadcasting: asking the first one alone from then on would hide a second.
    argv = ["arping", "-b", "-c", "3", "-w", "3", "-I", machine.interface, address]
    return (await reach.run(machine.name, argv, timeout=20, check=False)).text


def macs(text: str) -> tuple[str, ...]:
    """The distinct MAC addresses of ``arping``'s replies, in lower case, sorted."""
    found = re.findall(r"reply from \S+ \[([0-9A-Fa-f:]{17})\]", text)
    return tuple(sorted({mac.lower() for mac in found}))


async def _single(reach: Reach, topology: Topology) -> str:
    by_mac = {machine.mac: machine.name for machine in topology.machines}
    names = [by_mac.get(mac, mac) for mac in await answering(reach, topology)]
    if not names:
        raise NotYet(f"nobody answers for {topology.lan.floating}")
    if len(names) > 1:
        raise NotYet(f"{' and '.join(names)} both answer for {topology.lan.floating}")
    for machine in topology.balancers:
        view = await seen_by(reach, machine.name)
        if view.holders != (names[0],):
            said = ", ".join(view.holders) or "nobody"
            raise NotYet(f"{names[0]} answers for {topology.lan.floating}, but {machine.name} says {said} holds it")
    return f"{topology.lan.floating} is on {names[0]}"


async def _content(reach: Reach, topology: Topology) -> str:
    names = tuple(sorted(machine.name for machine in topology.balancers))
    for name in names:
        view = await seen_by(reach, name)
        problem = _problem(view, names, topology.spec.balancers.standby)
        if problem:
            raise NotYet(f"{name}: {problem}")
    return f"{', '.join(names)} online, HAProxy {topology.spec.balancers.standby.value}"


def _problem(view: ClusterView, names: tuple[str, ...], standby: Standby) -> str:
    if not view.quorate:
        return "no quorum"
    if tuple(sorted(view.online)) != names:
        return f"online: {', '.join(view.online) or 'none'}"
    wanted = names if standby is Standby.HOT else view.holders
    if view.haproxy_on != wanted:
        return f"HAProxy runs on {', '.join(view.haproxy_on) or 'none'}, not on {', '.join(wanted) or 'any'}"
    if view.failures:
        return "; ".join(view.failures)
    return ""
