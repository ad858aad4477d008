"""The platform laid out: every machine with its MAC, address and name, and the keys they share. Frozen and pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
from typing import Final

from groundplane.software import Software
from groundplane.spec.model import ClusterSpec
from groundplane.spec.roles import ROLES, Role

API_PORT: Final = 6443
"""kubeadm's own choice, and what every tool expects."""


class Secret:
    """Bytes that never show: ``repr``, ``str`` and formatting give ``***``. ``reveal()`` is the only way in."""

    __slots__ = ("_value",)

    def __init__(self, value: bytes) -> None:
        self._value = value

    def reveal(self) -> bytes:
        return self._value

    def text(self) -> str:
        return self._value.decode()

    def __repr__(self) -> str:
        return "***"

    __str__ = __repr__

    def __format__(self, _: str) -> str:
        return "***"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and other._value == self._value

    def __hash__(self) -> int:
        return hash(self._value)


@dataclass(frozen=True, slots=True)
class KeyPair:
    """A certificate (PEM) and its private key (PEM, PKCS#8 or EC)."""

    certificate: bytes
    key: Secret


@dataclass(frozen=True, slots=True)
class Secrets:
    """What is made once for a platform, kept by ``store/`` and shared by its machines.

    The three Kubernetes authorities and the service-account key lie on every control plane before kubeadm
    starts, so no control plane is special and no certificate has to be copied between machines.
    """

    platform_ca: KeyPair  # signs the registry's and the quorum device's certificates
    kubernetes_ca: KeyPair
    front_proxy_ca: KeyPair
    etcd_ca: KeyPair
    service_account: KeyPair  # certificate: the public key, PEM
    registry: KeyPair  # server certificate of the gateway's registry, signed by platform_ca
    qnetd: KeyPair  # server certificate of the quorum vote, signed by platform_ca
    qdevice: KeyPair  # client certificate of the balancers, signed by platform_ca
    corosync_key: Secret  # 256 random bytes: /etc/corosync/authkey
    pacemaker_key: Secret  # 256 random bytes: /etc/pacemaker/authkey
    encryption_key: Secret  # 32 random bytes: encryption of Secrets in etcd


@dataclass(frozen=True, slots=True)
class Machine:
    """One machine, fully determined. ``roles`` are in the order of ``Role``."""

    name: str
    roles: tuple[Role, ...]
    mac: str  # lower case, colons
    address: IPv4Address
    cpus: float
    memory: int  # bytes
    fqdn: str  # name + "." + domain
    interface: str = "lan0"  # what its card on the LAN is called there
    outer_interface: str = "wan0"  # the same for a second card, which only the gateway has

    @property
    def is_node(self) -> bool:
        """Whether it is a Kubernetes node."""
        return any(ROLES[role].node for role in self.roles)

    def has(self, *roles: Role) -> bool:
        """Whether it has any of ``roles``."""
        return any(role in roles for role in self.roles)


@dataclass(frozen=True, slots=True)
class Lan:
    """The network laid out. Addresses are of ``range``."""

    range: IPv4Network
    domain: str
    gateway: IPv4Address
    floating: IPv4Address
    pool_first: IPv4Address
    pool_last: IPv4Address
    ipv6: IPv6Network | None = None

    @property
    def gateway_ipv6(self) -> IPv6Address | None:
        """The gateway's address where the LAN has IPv6: the prefix's first."""
        return self.ipv6[1] if self.ipv6 else None


@dataclass(frozen=True, slots=True)
class Traits:
    """What the machines' ground allows, as the provider found it. Components adapt to these, never to a provider."""

    cgroup_version: int = 2  # 1 or 2
    own_clock: bool = True  # False: the clock belongs to somebody else and must not be set
    own_kernel: bool = True  # False: a container; settings that no namespace isolates are not ours to write
    own_disk: bool = True  # False: the disk etcd writes to is shared with somebody whom filling it would harm
    lowers_oom_score: bool = True  # False: no process may lower its oom_score_adj


@dataclass(frozen=True, slots=True)
class Topology:
    """Everything components need to know. Machines are in the file's order (first roles in the order of
    ``Role``)."""

    spec: ClusterSpec
    lan: Lan
    machines: tuple[Machine, ...]
    traits: Traits
    software: Software
    secrets: Secrets = field(repr=False)
    balancer_numbers: Mapping[str, int] = field(default_factory=dict)
    """Corosync's numbers of the balancers there are, by name; a new one gets what its name says, or the next free."""

    @property
    def name(self) -> str:
        return self.spec.name

    def of_role(self, *roles: Role) -> tuple[Machine, ...]:
        """The machines that have any of ``roles``."""
        return tuple(machine for machine in self.machines if machine.has(*roles))

    @property
    def gateway(self) -> Machine:
        # It is the first in order; every machine asks for it, so nobody looks through all of them.
        return next(machine for machine in self.machines if machine.has(Role.GATEWAY))

    @property
    def balancers(self) -> tuple[Machine, ...]:
        return self.of_role(Role.BALANCER)

    @property
    def control_planes(self) -> tuple[Machine, ...]:
        return self.of_role(Role.CONTROL_PLANE)

    @property
    def workers(self) -> tuple[Machine, ...]:
        return self.of_role(Role.WORKER)

    @property
    def nodes(self) -> tuple[Machine, ...]:
        return tuple(machine for machine in self.machines if machine.is_node)

    @property
    def third_vote(self) -> bool:
        """Whether the gateway has a vote among the balancers: two would be equal; of three, two are the majority."""
        return len(self.balancers) == 2

    def machine(self, name: str) -> Machine:
        """Return the machine of that name; KeyError when there is none."""
        for machine in self.machines:
            if machine.name == name:
                return machine
        raise KeyError(name)

    @property
    def api_host(self) -> str:
        """DNS name of the floating address."""
        return f"api.{self.lan.domain}"

    @property
    def api_port(self) -> int:
        """The TCP port of the API, at the floating address and on every control plane."""
        return API_PORT

    @property
    def registry_host(self) -> str:
        """DNS name and port of the gateway's registry."""
        return f"registry.{self.lan.domain}:5000"
