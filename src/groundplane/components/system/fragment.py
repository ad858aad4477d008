"""The ground that all other components stand on."""

from __future__ import annotations

from groundplane.components.base import templates
from groundplane.spec.model import Role
from groundplane.state.model import Address, File, Fragment, HostName, Package, Resource, Sysctl, Unit
from groundplane.topology.model import Machine, Topology

PLATFORM_CA = "/etc/groundplane/pki/platform-ca.crt"
NETWORKD = "systemd-networkd.service"

PACKAGES = (
    "bind9-dnsutils",  # dig: asks the gateway for many names in one go
    "ca-certificates",
    "curl",  # asks the registry and the API as their clients do
    "iproute2",
    "iputils-arping",  # who answers for an address on the LAN
    "iputils-ping",
    "netcat-openbsd",
    "procps",
    "python3",  # checks run small programs on it
)

SYSCTLS = (
    # A LAN with one router has no use for redirects, and source routes serve nobody but intruders.
    Sysctl("net.ipv4.conf.all.accept_redirects", "0"),
    Sysctl("net.ipv4.conf.all.accept_source_route", "0"),
    Sysctl("net.ipv4.conf.default.accept_redirects", "0"),
    Sysctl("net.ipv4.conf.default.accept_source_route", "0"),
)


def fragment(topology: Topology, machine: Machine) -> Fragment:
    environment = templates(__file__)
    hosts = environment.get_template("hosts.j2").render(lan=topology.lan, machine=machine, gateway=topology.gateway)
    resolv = environment.get_template("resolv.conf.j2").render(lan=topology.lan)
    return Fragment(
        "system",
        (
            File("/etc/hosts", hosts.encode()),
            File("/etc/resolv.conf", resolv.encode()),
            File(PLATFORM_CA, topology.secrets.platform_ca.certificate),
            *(Package(name) for name in PACKAGES),
            *SYSCTLS,
            HostName(machine.name),
            *_network(topology, machine),
        ),
    )


def _network(topology: Topology, machine: Machine) -> tuple[Resource, ...]:
    """The addresses and the way out. A machine that asks the gateway for them must not lose them with the gateway."""
    lan, uplink = topology.lan, topology.spec.network.uplink
    if machine.has(Role.GATEWAY):
        # Its network comes from its seed, whole.
        own = Address(machine.interface, str(machine.address))
        outer = (Address(machine.outer_interface, str(uplink.address.ip), str(uplink.router)),) if uplink else ()
        return (own, *outer, Unit(NETWORKD))
    path = f"/etc/systemd/network/10-cloud-init-{machine.interface}.network.d/groundplane.conf"
    text = templates(__file__).get_template("network.conf.j2").render(lan=lan, machine=machine)
    return (
        File(path, text.encode()),
        Unit(NETWORKD, reads=(path,), reloads=True),
        Address(machine.interface, str(machine.address), str(lan.gateway)),
    )
