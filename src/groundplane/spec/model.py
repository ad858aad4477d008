"""The cluster file's types, one per stanza. Frozen: nothing changes a specification after loading.

Keys of the file are kebab-case (``floating-address``); the attributes are their snake_case twins.
Every field has a description, which ``groundplane explain`` and the JSON Schema show; ``ValueKind`` adds the words
and the example with which a problem of the file is explained.
Rules that need more than one field live in ``rules/``; nothing here knows about lines.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from ipaddress import IPv4Address, IPv4Interface, IPv4Network, IPv6Network
from typing import Annotated, Final, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Discriminator, Field, StringConstraints, Tag

from groundplane.software import DEFAULT_VERSION
from groundplane.spec import roles as tables
from groundplane.spec.roles import GIB, MIB, ROLES, Needs, by_role, in_order, together
from groundplane.spec.roles import Role as Role  # part of the file's language, like the stanzas here


@dataclass(frozen=True, slots=True)
class ValueKind:
    """What a value is, in a user's words: ``words`` follows "is not", ``example`` is right as it stands, ``choices``
    are all there are, where they are few and the type allows more."""

    words: str
    example: str
    choices: tuple[str, ...] = ()


HostName = Annotated[
    str,
    StringConstraints(pattern=r"^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$"),
    Field(description="one label of a host name: lower-case letters, digits and inner hyphens, at most 63"),
    ValueKind("a host name (lower-case letters, digits and inner hyphens, at most 63 characters)", "worker1"),
]
PlatformName = Annotated[HostName, ValueKind("a platform's name (formed like a host name)", "lab")]
DomainName = Annotated[
    str,
    StringConstraints(
        max_length=253,
        pattern=r"^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?(\.[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?)*$",
    ),
    ValueKind("a DNS domain (lower-case host names joined by dots)", "groundplane.internal"),
]
MacAddress = Annotated[
    str,
    StringConstraints(to_lower=True, pattern=r"^([0-9a-fA-F]{2}:){5}[0-9a-fA-F]{2}$"),
    ValueKind("a MAC address (six pairs of hexadecimal digits with colons)", "52:54:00:12:34:56"),
]
Memory = Annotated[
    str,
    StringConstraints(pattern=r"^[1-9][0-9]{0,6}(MiB|GiB)$"),
    Field(description="an amount of memory, such as 512MiB or 2GiB"),
    ValueKind("an amount of memory (a whole number with MiB or GiB)", "2GiB"),
]
Processors = Annotated[float, Field(gt=0, le=1024), ValueKind("a number (above 0, at most 1024)", "2")]
ReleaseName = Annotated[
    str, StringConstraints(pattern=r"^[a-z]+$"), ValueKind("a release's code name (lower-case letters)", "trixie")
]
Mirror = Annotated[
    str,
    # Printable ASCII without blanks, brackets and backslashes: the text becomes a field of apt's source list.
    StringConstraints(pattern=r"^(https?://|file:/|copy:/)[!-Z^-~]+$", max_length=1000),
    ValueKind("the address of a package archive (http, https, file or copy)", "http://mirror.example/debian"),
]
KubernetesVersion = Annotated[
    str,
    StringConstraints(pattern=r"^[0-9A-Za-z.+-]*$", max_length=32),
    ValueKind("a Kubernetes version (three numbers with dots)", DEFAULT_VERSION),
]


def _without_scope(network: IPv6Network) -> IPv6Network:
    """A scope (``%`` and anything) names a card of one computer; of a network it means nothing."""
    if network.network_address.scope_id is not None:
        raise ValueError("a range has no scope")
    return network


PlainIPv6Network = Annotated[IPv6Network, AfterValidator(_without_scope), ValueKind("an IPv6 range", "fd00:80::/64")]


class Stanza(BaseModel):
    """What all stanzas share: frozen, nothing unknown, kebab-case keys."""

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        strict=False,
        alias_generator=lambda name: name.replace("_", "-"),
        populate_by_name=False,
    )


OddNumber = Annotated[
    int,
    Field(json_schema_extra={"enum": [1, 3, 5, 7, 9]}),  # a rule says why the others won't do
    ValueKind("a whole number (1, 3, 5, 7 or 9)", "3", ("1", "3", "5", "7", "9")),
]


class Uplink(Stanza):
    """The gateway's way out. Without this stanza the platform has none."""

    address: IPv4Interface = Field(description="the gateway's outer address with its prefix, as 192.0.2.2/24")
    router: Annotated[IPv4Address, ValueKind("an IPv4 address", "192.0.2.1")] = Field(
        description="the next hop towards the outside"
    )
    nameservers: tuple[Annotated[IPv4Address, ValueKind("an IPv4 address", "192.0.2.53")], ...] = Field(
        default=(),
        max_length=16,
        description="where names outside the domain are asked; none: they aren't answered",
    )


class DhcpPool(Stanza):
    """The addresses strangers get; machines of the file have their own."""

    first: Annotated[IPv4Address, ValueKind("an IPv4 address", "10.80.0.192")] = Field(
        description="first address of the pool"
    )
    last: Annotated[IPv4Address, ValueKind("an IPv4 address", "10.80.0.254")] = Field(
        description="last address of the pool"
    )


class Network(Stanza):
    """The LAN all machines share."""

    lan: IPv4Network = Field(
        default=IPv4Network("10.80.0.0/24"),
        description="address range of the LAN, /16 to /29; the gateway has its first",
    )
    domain: DomainName = Field(default="groundplane.internal", description="the machines' DNS domain")
    floating_address: IPv4Address | None = Field(
        default=None,
        description="where the API is reached, held by one balancer at a time; "
        "default: the range's tenth address, the second where it is smaller than a /24; "
        "where a machine's entry or the pool has that, the first free one after the first",
    )
    dhcp_pool: DhcpPool | None = Field(
        default=None, description="addresses for strangers; default: the last quarter of the range"
    )
    ipv6: PlainIPv6Network | None = Field(
        default=None, description="a /64 the gateway advertises on the LAN; none: no IPv6"
    )
    uplink: Uplink | None = Field(default=None, description="the gateway's way out; none: an air-gapped LAN")


class Image(Stanza):
    """The base image every machine starts from."""

    distribution: Literal["debian", "ubuntu"] = Field(default="debian", description="which distribution")
    release: ReleaseName = Field(
        default="trixie",
        description="the release's code name, as trixie (Debian 13), bookworm (12) or noble (Ubuntu 24.04)",
    )
    mirror: Mirror | None = Field(
        default=None,
        description="where packages come from; default: what this machine's own apt uses",
    )


class Standby(StrEnum):
    """What HAProxy does on the balancer that doesn't hold the floating address."""

    HOT = "hot"
    COLD = "cold"


class Balancers(Stanza):
    """The one, two or three in front of the API servers."""

    standby: Standby = Field(
        default=Standby.HOT,
        description="hot: HAProxy runs on all and takes over at once; cold: on the active one alone",
    )
    accept_single_point_of_failure: bool = Field(
        default=False, description="allows a platform with one balancer: when it fails, the API is gone"
    )


class Kubernetes(Stanza):
    """The cluster itself."""

    version: KubernetesVersion = Field(
        default=DEFAULT_VERSION, description="a version `groundplane explain versions` lists"
    )
    pods: IPv4Network = Field(
        default=IPv4Network("10.244.0.0/16"), description="addresses of pods, a /24 of them per node"
    )
    services: IPv4Network = Field(default=IPv4Network("10.96.0.0/16"), description="addresses of Services")


class Size(Stanza):
    """What a machine may use."""

    cpus: Processors = Field(description="processors, fractions allowed where the provider can")
    memory: Memory = Field(description="memory, such as 2GiB")

    @property
    def needs(self) -> Needs:
        """The same in numbers."""
        return Needs(self.cpus, memory_in_bytes(self.memory))


def memory_in_bytes(written: str) -> int:
    """An amount of memory as the file has it, in bytes."""
    return int(written[:-3]) * {"MiB": MIB, "GiB": GIB}[written[-3:]]


def _written(memory: int) -> str:
    """Bytes as the file has them."""
    return f"{memory // GIB}GiB" if memory % GIB == 0 else f"{memory // MIB}MiB"


class ServiceSize(Size):
    """What the gateway or a balancer may use."""

    cpus: Processors = Field(
        default=tables.SERVICE.cpus, description="processors, fractions allowed where the provider can"
    )
    memory: Memory = Field(default=_written(tables.SERVICE.memory), description="memory, such as 2GiB")


class NodeSize(Size):
    """What a control plane or a worker may use."""

    cpus: Processors = Field(
        default=tables.NODE.cpus, description="processors, fractions allowed where the provider can"
    )
    memory: Memory = Field(default=_written(tables.NODE.memory), description="memory, such as 2GiB")


class OwnSize(Stanza):
    """What one machine may use where it differs from its role's size."""

    cpus: Processors | None = Field(default=None, description="processors; default: as the role's size says")
    memory: Memory | None = Field(default=None, description="memory, such as 2GiB; default: as the role's size says")

    def over(self, usual: Needs) -> Needs:
        """The whole size: what isn't stated is as ``usual``."""
        return Needs(cpus=self.cpus or usual.cpus, memory=memory_in_bytes(self.memory) if self.memory else usual.memory)


A_LIST_OF_ROLES: Final = ValueKind("a list of roles", "[balancer, control-plane, worker]")


class MachineEntry(Stanza):
    """One machine of an explicit list."""

    name: HostName = Field(description="its host name")
    # Exactly one of the next two: ``draft.py`` and a rule see to it.
    role: Annotated[Role | None, ValueKind(" or ".join(Role), "worker")] = Field(
        default=None, description="what it is for; a machine for several things has `roles` instead"
    )
    roles: Annotated[tuple[Role, ...] | None, A_LIST_OF_ROLES] = Field(
        default=None,
        min_length=1,
        description="all that it is for, where that is more than one thing: it is named, and placed in the LAN, by the "
        "first of gateway, balancer, control-plane and worker among them",
        json_schema_extra={"uniqueItems": True},
    )
    mac: MacAddress | None = Field(default=None, description="its LAN card; default: made from its name")
    address: Annotated[IPv4Address | None, ValueKind("an IPv4 address", "10.80.0.61")] = Field(
        default=None, description="its address; default: by role and order"
    )
    size: OwnSize | None = Field(
        default=None,
        description="what it may use; default: its role's size; for several roles the memory of all together and the "
        "processors of the greatest",
    )

    @property
    def all_roles(self) -> tuple[Role, ...]:
        """What it is for, in the order of ``Role``, whichever way it is written."""
        return (self.role,) if self.role is not None else in_order(self.roles or ())

    def has(self, *roles: Role) -> bool:
        """Whether it has any of ``roles``."""
        return self.role in roles if self.role is not None else any(role in roles for role in self.roles or ())

    @property
    def first(self) -> Role:
        """The role it is named and placed by."""
        return self.role if self.role is not None else self.all_roles[0]


class Counts(Stanza):
    """Machines by role; names are made from them (cp1, cp2, …)."""

    gateway: Literal[1] = Field(default=1, description="the gateway: always one")
    balancer: int = Field(default=2, ge=1, le=3, description="two or three, or one where the file accepts it")
    control_plane: OddNumber = Field(default=3, ge=1, le=9, description="an odd number, so that a majority exists")
    worker: int = Field(default=2, ge=0, le=1000, description="where ordinary pods run")

    def of(self, role: Role) -> int:
        """How many machines of ``role`` there are."""
        number: int = getattr(self, _attribute(role))
        return number


class Sizes(Stanza):
    """What a machine of each role may use, unless its own entry says otherwise."""

    gateway: ServiceSize = Field(default=ServiceSize(), description="size of the gateway")
    balancer: ServiceSize = Field(default=ServiceSize(), description="size of each balancer")
    control_plane: NodeSize = Field(default=NodeSize(), description="size of each control plane")
    worker: NodeSize = Field(default=NodeSize(), description="size of each worker")

    def of(self, *roles: Role) -> Needs:
        """What a machine of ``roles`` gets whose entry states nothing."""
        return together(self.stanza(role).needs for role in roles)

    def stanza(self, role: Role) -> Size:
        """The size of a machine that has ``role`` alone."""
        stated: Size = getattr(self, _attribute(role))
        return stated


def _attribute(role: Role) -> str:
    return role.value.replace("-", "_")


# Sizes and Counts have a key for every role, and a size left out is what the role's row says.
by_role({role: None for role in Role if {_attribute(role)} <= Sizes.model_fields.keys() & Counts.model_fields.keys()})
if any(Sizes().of(role) != ROLES[role].usual for role in Role):
    raise LookupError("a default size isn't what its role's row says")


class ProviderName(StrEnum):
    """Where machines come from."""

    LAB = "lab"


def _form_of_machines(value: object) -> str | None:
    """Which of the two forms ``machines`` has, so that only that form's problems are reported."""
    if isinstance(value, (dict, Counts)):
        return "counts"
    return "list" if isinstance(value, (list, tuple)) else None


Machines = Annotated[
    Annotated[Counts, Tag("counts")]
    # What has to be there rules know, and say it in better words; the schema says it to editors (see json_schema.py).
    | Annotated[tuple[MachineEntry, ...], Tag("list")],
    Discriminator(_form_of_machines),
]


class ClusterSpec(Stanza):
    """A whole cluster file."""

    name: PlatformName = Field(description="the platform's name; several can live side by side")
    provider: ProviderName = Field(default=ProviderName.LAB, description="where machines come from")
    network: Network = Field(default=Network(), description="the LAN all machines share")
    image: Image = Field(default=Image(), description="the base image every machine starts from")
    balancers: Balancers = Field(default=Balancers(), description="what stands in front of the API servers")
    kubernetes: Kubernetes = Field(default=Kubernetes(), description="the cluster itself")
    machines: Machines = Field(default=Counts(), description="counts by role, or an explicit list of machines")
    sizes: Sizes = Field(default=Sizes(), description="what a machine of each role may use")
