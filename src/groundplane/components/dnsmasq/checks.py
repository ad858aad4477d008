"""Leases and names: what the gateway gave out, and what every machine is told when it asks."""

from __future__ import annotations

from ipaddress import IPv4Address

from groundplane.components.dnsmasq.fragment import LEASES
from groundplane.components.everywhere import everywhere, some
from groundplane.spec.roles import Role
from groundplane.state.step import Reach
from groundplane.topology.model import Machine, Topology
from groundplane.verify.check import RECOVERY, Check
from groundplane.verify.condition import NotYet


def checks(topology: Topology) -> tuple[Check, ...]:
    return (_leases(topology), _names(topology))


def _leases(topology: Topology) -> Check:
    gateway = topology.gateway.name
    expected = {
        machine.name: (machine.mac, str(machine.address), machine.name)
        for machine in topology.machines
        if not machine.has(Role.GATEWAY)
    }

    async def probe(reach: Reach) -> str:
        answer = await reach.run(gateway, ["cat", LEASES], timeout=10)
        given = leases(answer.text)
        missing = [name for name, lease in expected.items() if lease not in given]
        if missing:
            raise NotYet(f"no lease as the cluster file wants it for {some(missing)}")
        return f"{len(expected)} machines have their lease"

    return Check(
        name="leases",
        title="The gateway gave every machine its own address",
        deadline=RECOVERY,
        remedy="on the gateway, `journalctl -u dnsmasq` shows who asked and what was answered; "
        "on the machine, `networkctl status` shows whether it asks at all",
        probe=probe,
    )


def leases(text: str) -> set[tuple[str, str, str]]:
    """(MAC, address, name) of each IPv4 lease in dnsmasq's lease file: ``expiry mac address name client-id``."""
    fields = (line.split() for line in text.splitlines())
    return {(part[1].lower(), part[2], part[3]) for part in fields if len(part) == 5}


def _names(topology: Topology) -> Check:
    questions = _questions(topology)
    batch = "".join(f"{name} {kind}\n" for name, kind, _ in questions).encode()
    wanted = {f"{name} {kind} {answer}" for name, kind, answer in questions}

    async def probe(reach: Reach) -> str:
        async def ask(machine: Machine) -> None:
            argv = ["dig", "+noall", "+answer", "+time=2", "+tries=2", "-f", "-"]
            answer = await reach.run(machine.name, argv, stdin=batch, timeout=30)
            missing = sorted(wanted - records(answer.text))
            if missing:
                raise NotYet(f"asks in vain for {some(missing)}")

        asked = await everywhere(topology.machines, ask)
        return f"{asked} machines find {len(wanted)} names and addresses"

    return Check(
        name="names",
        title="Every machine is told every machine's name, and the way back",
        deadline=RECOVERY,
        remedy="a name is served while its machine has a lease: see the check `leases`, and on the gateway "
        "`journalctl -u dnsmasq`; on the machine that asks, see /etc/resolv.conf",
        probe=probe,
    )


def _questions(topology: Topology) -> tuple[tuple[str, str, str], ...]:
    """(name, record type, answer), names with their final dot, as dig shows them."""
    forwards = [(machine.fqdn, machine.address) for machine in topology.machines]
    forwards += [
        (f"api.{topology.lan.domain}", topology.lan.floating),
        (f"registry.{topology.lan.domain}", topology.lan.gateway),
    ]
    back = [(_reverse(machine.address), "PTR", f"{machine.fqdn}.") for machine in topology.machines]
    return (*((f"{name}.", "A", str(address)) for name, address in forwards), *back)


def _reverse(address: IPv4Address) -> str:
    return f"{address.reverse_pointer}."


def records(text: str) -> set[str]:
    """``name type data`` of each record in dig's answer: ``name ttl class type data``."""
    fields = (line.split() for line in text.splitlines() if not line.startswith(";"))
    return {f"{part[0]} {part[3]} {part[4]}" for part in fields if len(part) == 5}
