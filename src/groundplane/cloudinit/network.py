"""A machine's first network configuration, in version 2 of cloud-init's format (rendered to systemd-networkd).

Only the gateway has its address written down: everybody else asks it, by the MAC it knows. What may change later, IPv6
and the way out, isn't here: files of the desired state say it.
"""

from __future__ import annotations

from typing import Final

from groundplane.cloudinit.yaml import scalar
from groundplane.spec.roles import Role
from groundplane.topology.model import Lan, Machine, Topology

_DHCP: Final = (
    "    dhcp4: true",
    "    dhcp6: false",
    "    accept-ra: false",
    "    dhcp4-overrides:",
    "      use-dns: false",
    "      use-hostname: false",
    "      use-ntp: false",
)
"""Ask for an address and the way out. Names, time and host name are said by files of the desired state."""


def network_config(topology: Topology, machine: Machine) -> bytes:
    """The seed's ``network-config``.

    The card is found by its MAC and called by its name in the topology. Where it already bears that name, as
    in a container without udev, cloud-init leaves it alone.
    """
    lines = ["version: 2", "ethernets:", *_card(machine)]
    if machine.has(Role.GATEWAY):
        lines += _static(topology.lan)
        if machine.is_node:
            lines += _to_services(topology)
    else:
        lines += _DHCP
    return "\n".join([*lines, ""]).encode()


def _card(machine: Machine) -> list[str]:
    return [
        f"  {scalar(machine.interface)}:",
        "    match:",
        f'      macaddress: "{machine.mac}"',
        f"    set-name: {scalar(machine.interface)}",
    ]


def _static(lan: Lan) -> list[str]:
    address = f'      - "{lan.gateway}/{lan.range.prefixlen}"'
    return ["    dhcp4: false", "    dhcp6: false", "    accept-ra: false", "    addresses:", address]


def _to_services(topology: Topology) -> list[str]:
    """A way for what the machine itself sends to Services: kube-proxy turns it to a pod, but only once it has one.
    Other nodes have their default route for that; the gateway has none, or one that begins at its outer address."""
    return ["    routes:", f'      - to: "{topology.spec.kubernetes.services}"']
