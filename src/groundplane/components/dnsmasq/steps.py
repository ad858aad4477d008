"""dnsmasq's acts: what it knows of leases is what there is. Names live as long as leases do.

The leases of machines that are no more are given up; a gateway that was made anew is told by each machine which one it
has.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator, Sequence
from ipaddress import IPv4Address
from typing import Final

from groundplane.components.dnsmasq.fragment import LEASES
from groundplane.errors import TransportError
from groundplane.spec.cards import made_macs
from groundplane.spec.roles import Role
from groundplane.state.step import Reach, Step
from groundplane.topology.model import Machine, Topology

_LEASE: Final = re.compile(r"\d+ ((?:[0-9a-f]{2}:){5}[0-9a-f]{2}) (\d+\.\d+\.\d+\.\d+) (\S+) ")
"""An IPv4 lease in dnsmasq's file, of an Ethernet card: ``expiry mac address name client-id``."""
_UNIT: Final = "dnsmasq.service"


def left_over(text: str, topology: Topology) -> tuple[str, ...]:
    """The MACs of leases that a machine of the file had and hasn't now: its card has another address, its address is
    another card's (dnsmasq would keep it from that one), or the card is one we made up for a machine of that name.
    Strangers' leases are their own affair, wherever the pool was when they got them."""
    ours = {(machine.mac, machine.address) for machine in topology.machines if not machine.has(Role.GATEWAY)}
    cards, addresses = {mac for mac, _ in ours}, {address for _, address in ours}
    found = []
    for mac, address, name in _held(text):
        made_up = mac == next(made_macs(topology.name, name))
        if (mac, address) not in ours and (made_up or mac in cards or address in addresses):
            found.append(mac)
    return tuple(found)


def _held(text: str) -> Iterator[tuple[str, IPv4Address, str]]:
    for match in filter(None, map(_LEASE.match, text.splitlines())):
        yield match[1], IPv4Address(match[2]), match[3]


def unknown(text: str, topology: Topology) -> tuple[Machine, ...]:
    """The machines whose lease dnsmasq doesn't know, as its file tells."""
    found = {(mac, address) for mac, address, _ in _held(text)}
    clients = (machine for machine in topology.machines if not machine.has(Role.GATEWAY))
    return tuple(machine for machine in clients if (machine.mac, machine.address) not in found)


def steps(topology: Topology) -> tuple[Step, ...]:
    return (_known(topology), _given_up(topology))


def leaving(topology: Topology, machine: Machine) -> tuple[Step, ...]:
    """The Step by which a machine leaves whose card nobody could tell from a stranger's afterwards."""
    again = any(other.name == machine.name for other in topology.machines)
    if again or machine.has(Role.GATEWAY) or machine.mac == next(made_macs(topology.name, machine.name)):
        return ()

    async def probe(reach: Reach) -> bool:
        held = _held(await _leases(reach, topology))
        return all((mac, address) != (machine.mac, machine.address) for mac, address, _ in held)

    async def act(reach: Reach) -> None:
        await _give_up(reach, topology, (machine.mac,))

    return (
        Step(
            name=f"give-lease-up:{machine.name}",
            machine=machine.name,
            why="let its name end with it, and its address be another card's",
            probe=probe,
            act=act,
            needs_machines=(topology.gateway.name,),
            deadline=90,
        ),
    )


async def _give_up(reach: Reach, topology: Topology, macs: Sequence[str]) -> None:
    # It keeps them in memory and writes them all anew: it must not run meanwhile. Names are away for that moment.
    lines = f"sed -i -E '/^[0-9]+ ({'|'.join(macs)}) /d' {LEASES}"
    script = f"systemctl stop {_UNIT}; {lines}; systemctl start {_UNIT}"
    await reach.run(topology.gateway.name, ("sh", "-c", script), timeout=60)


async def _leases(reach: Reach, topology: Topology) -> str:
    return (await reach.run(topology.gateway.name, ("cat", LEASES), timeout=15)).text


def _known(topology: Topology) -> Step:
    async def answering(reach: Reach) -> list[Machine]:
        async def answers(machine: Machine) -> bool:
            try:
                return (await reach.run(machine.name, ("true",), timeout=15, check=False)).status == 0
            except TransportError:
                return False

        missing = unknown(await _leases(reach, topology), topology)
        found = await asyncio.gather(*(answers(machine) for machine in missing))
        return [machine for machine, here in zip(missing, found, strict=True) if here]

    async def probe(reach: Reach) -> bool:
        try:
            return not await answering(reach)
        except TransportError:
            return False

    async def act(reach: Reach) -> None:
        # Renewed, a lease is what it was: the address stays, which is the machine's own. A card that networkd has given
        # up has nothing to renew.
        asking = [
            (machine.name, ("sh", "-c", f"networkctl renew {card} || networkctl reconfigure {card}"))
            for machine in await answering(reach)
            for card in (machine.interface,)
        ]
        await asyncio.gather(*(reach.run(name, argv, timeout=15) for name, argv in asking))

    async def instead(reach: Reach) -> tuple[str, float | None]:
        return f"it knows no lease of {', '.join(machine.name for machine in await answering(reach))}", None

    return Step(
        name="leases-known",
        machine=topology.gateway.name,
        why="have machines tell a gateway that doesn't know them which addresses they have, and so their names",
        probe=probe,
        act=act,
        needs_machines=(topology.gateway.name,),
        deadline=90,
        instead=instead,
    )


def _given_up(topology: Topology) -> Step:
    gateway = topology.gateway.name

    async def probe(reach: Reach) -> bool:
        try:
            return not left_over(await _leases(reach, topology), topology)
        except TransportError:
            return False

    async def act(reach: Reach) -> None:
        await _give_up(reach, topology, left_over(await _leases(reach, topology), topology))

    async def instead(reach: Reach) -> tuple[str, float | None]:
        return f"leases of {', '.join(left_over(await _leases(reach, topology), topology))}", None

    return Step(
        name="leases-given-up",
        machine=gateway,
        why="let the names of machines that are no more end with them",
        probe=probe,
        act=act,
        needs_machines=(gateway,),
        deadline=90,
        instead=instead,
        tidies=True,
    )
