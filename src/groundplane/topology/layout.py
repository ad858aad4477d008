"""ClusterSpec → Topology: every machine's card, address, name and size. Pure: the same file gives the same platform."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from hashlib import sha256
from ipaddress import IPv4Address

from groundplane.spec.addressing import Addressing, lay_out_addresses, roster
from groundplane.spec.model import ClusterSpec, MachineEntry
from groundplane.topology.model import Lan, Machine, Secrets, Software, Topology, Traits


def lay_out(spec: ClusterSpec, secrets: Secrets, traits: Traits, software: Software | None = None) -> Topology:
    """Determine the whole platform; ``software`` None means that of the default Kubernetes version.

    Raises ``SpecError`` only for a specification that ``spec.load`` would refuse."""
    entries = roster(spec)
    addressing = lay_out_addresses(spec)
    macs = _macs(spec.name, entries)
    machines = tuple(
        _machine(spec, entry, mac, address)
        for entry, mac, address in zip(entries, macs, addressing.machines, strict=True)
    )
    return Topology(
        spec=spec,
        lan=_lan(spec, addressing),
        machines=machines,
        traits=traits,
        secrets=secrets,
        software=software or Software(),
    )


def _lan(spec: ClusterSpec, addressing: Addressing) -> Lan:
    return Lan(
        range=spec.network.lan,
        domain=spec.network.domain,
        gateway=addressing.gateway,
        floating=addressing.floating,
        pool_first=addressing.pool_first,
        pool_last=addressing.pool_last,
        ipv6=spec.network.ipv6,
    )


def _machine(spec: ClusterSpec, entry: MachineEntry, mac: str, address: IPv4Address) -> Machine:
    usual = spec.sizes.of(entry.role)
    size = entry.size.over(usual) if entry.size else usual
    return Machine(
        name=entry.name,
        role=entry.role,
        mac=mac,
        address=address,
        cpus=size.cpus,
        memory=size.memory_bytes,
        fqdn=f"{entry.name}.{spec.network.domain}",
    )


def _macs(platform: str, entries: Iterable[MachineEntry]) -> Iterator[str]:
    """The stated cards, and made-up ones for the rest, all different."""
    entries = tuple(entries)
    taken = {entry.mac for entry in entries if entry.mac is not None}
    for entry in entries:
        if entry.mac is not None:
            yield entry.mac
            continue
        mac = next(mac for mac in made_macs(platform, entry.name) if mac not in taken)
        taken.add(mac)
        yield mac


def made_macs(platform: str, machine: str) -> Iterator[str]:
    """The addresses a machine's card may get, in order of preference.

    40 bits of a hash behind 02: locally administered, unicast (IEEE 802, section 8.2). The platform's name is hashed
    too, so that two platforms on one wire don't meet; the second and later choices are for the one case in 2^40.
    """
    attempt = 0
    while True:
        salt = f"/{attempt}" if attempt else ""
        digest = sha256(f"{platform}/{machine}{salt}".encode()).digest()
        yield ":".join(f"{byte:02x}" for byte in (0x02, *digest[:5]))
        attempt += 1
