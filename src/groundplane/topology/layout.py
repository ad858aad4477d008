"""ClusterSpec → Topology: every machine's card, address, name and size. Pure: the same file gives the same platform."""

from __future__ import annotations

from ipaddress import IPv4Address

from groundplane.software import Software, software_of
from groundplane.spec.addressing import Addressing, lay_out_addresses, roster
from groundplane.spec.cards import lay_out_cards
from groundplane.spec.model import ClusterSpec, MachineEntry
from groundplane.topology.model import Lan, Machine, Secrets, Topology, Traits


def lay_out(spec: ClusterSpec, secrets: Secrets, traits: Traits, software: Software | None = None) -> Topology:
    """Determine the whole platform; ``software`` None: nobody knows what its programs hold.

    Raises ``SpecError`` only for a specification that ``spec.load`` would refuse."""
    entries = roster(spec)
    addressing = lay_out_addresses(spec)
    machines = tuple(
        _machine(spec, entry, mac, address)
        for entry, mac, address in zip(entries, lay_out_cards(spec), addressing.machines, strict=True)
    )
    return Topology(
        spec=spec,
        lan=_lan(spec, addressing),
        machines=machines,
        traits=traits,
        secrets=secrets,
        software=software or software_of(spec.kubernetes.version),
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
    usual = spec.sizes.of(*entry.all_roles)
    needs = entry.size.over(usual) if entry.size else usual
    return Machine(
        name=entry.name,
        roles=entry.all_roles,
        mac=mac,
        address=address,
        cpus=needs.cpus,
        memory=needs.memory,
        fqdn=f"{entry.name}.{spec.network.domain}",
    )
