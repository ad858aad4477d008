"""The ground that all other components stand on. ``/etc/hostname`` is cloud-init's."""

from __future__ import annotations

from groundplane.components.base import templates
from groundplane.state.model import Address, File, Fragment, Package, Sysctl
from groundplane.topology.model import Machine, Topology

PLATFORM_CA = "/etc/groundplane/pki/platform-ca.crt"

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
            Address(machine.interface, str(machine.address)),
        ),
    )
