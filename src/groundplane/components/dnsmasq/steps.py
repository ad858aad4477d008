"""dnsmasq's one act: give up the leases of machines that are no more, since their names live as long as these do."""

from __future__ import annotations

import re
from ipaddress import IPv4Address
from typing import Final

from groundplane.components.dnsmasq.fragment import LEASES
from groundplane.errors import TransportError
from groundplane.spec.roles import Role
from groundplane.state.step import Reach, Step
from groundplane.topology.model import Topology

_LEASE: Final = re.compile(r"\d+ ((?:[0-9a-f]{2}:){5}[0-9a-f]{2}) (\d+\.\d+\.\d+\.\d+) ")
"""An IPv4 lease in dnsmasq's file, of an Ethernet card: ``expiry mac address name client-id``."""
_UNIT: Final = "dnsmasq.service"


def left_over(text: str, topology: Topology) -> tuple[str, ...]:
    """The MACs of leases that only a machine of the file can have had, where no machine of the file has them now.

    Strangers get addresses of the pool, and theirs are their own affair.
    """
    lan = topology.lan
    ours = {(machine.mac, machine.address) for machine in topology.machines if not machine.has(Role.GATEWAY)}
    found = []
    for match in filter(None, map(_LEASE.match, text.splitlines())):
        mac, address = match[1], IPv4Address(match[2])
        if not lan.pool_first <= address <= lan.pool_last and (mac, address) not in ours:
            found.append(mac)
    return tuple(found)


def steps(topology: Topology) -> tuple[Step, ...]:
    gateway = topology.gateway.name

    async def leases(reach: Reach) -> str:
        return (await reach.run(gateway, ("cat", LEASES), timeout=15)).text

    async def probe(reach: Reach) -> bool:
        try:
            return not left_over(await leases(reach), topology)
        except TransportError:
            return False

    async def act(reach: Reach) -> None:
        # It keeps them in memory and writes them all anew: it must not run meanwhile. Names are away for that moment.
        macs = "|".join(left_over(await leases(reach), topology))
        script = f"systemctl stop {_UNIT}; sed -i -E '/^[0-9]+ ({macs}) /d' {LEASES}; systemctl start {_UNIT}"
        await reach.run(gateway, ("sh", "-c", script), timeout=60)

    async def instead(reach: Reach) -> tuple[str, float | None]:
        return f"leases of {', '.join(left_over(await leases(reach), topology))}", None

    return (
        Step(
            name="leases-given-up",
            machine=gateway,
            why="let the names of machines that are no more end with them",
            probe=probe,
            act=act,
            needs_machines=(gateway,),
            deadline=90,
            instead=instead,
            tidies=True,
        ),
    )
