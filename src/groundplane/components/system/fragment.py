"""The ground that all other components stand on."""

from __future__ import annotations

from groundplane.components.base import templates
from groundplane.spec.model import Role
from groundplane.state.model import Address, File, Fragment, HostName, Package, Resource, Sysctl, Unit
from groundplane.topology.model import Machine, Topology

PLATFORM_CA = "/etc/groundplane/pki/platform-ca.crt"
NETWORKD = "systemd-networkd.service"
NETWORKS = "/etc/systemd/network"

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
    """The addresses and the way out. A machine that asks the gateway for them must not lose them with the gateway.

    The seed has as much as a first boot needs; what may change while the machine stands is in files of ours.
    """
    lan, uplink, gateway = topology.lan, topology.spec.network.uplink, machine.has(Role.GATEWAY)
    environment = templates(__file__)

    def file(path: str, template: str) -> File:
        text = environment.get_template(template).render(lan=lan, machine=machine, uplink=uplink, gateway=gateway)
        return File(path, text.encode())

    files = [file(f"{NETWORKS}/10-cloud-init-{machine.interface}.network.d/groundplane.conf", "network.conf.j2")]
    if gateway:
        # Read before cloud-init's, which machines that were born with an uplink have had from their seed.
        files.append(file(f"{NETWORKS}/05-groundplane-{machine.outer_interface}.network", "outer.network.j2"))
    return (
        *files,
        Unit(NETWORKD, reads=tuple(file.path for file in files), reloads=True),
        Address(machine.interface, str(machine.address), "" if gateway else str(lan.gateway)),
        *(
            (Address(machine.outer_interface, str(uplink.address.ip), str(uplink.router)),)
            if gateway and uplink
            else ()
        ),
    )
