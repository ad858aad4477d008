"""The cluster file's types, one per stanza. Frozen: nothing changes a specification after loading.

Keys of the file are kebab-case (``floating-address``); the attributes are their snake_case twins.
Every field has a description, which ``groundplane explain`` and the JSON Schema show; ``Kind`` adds the words
and the example with which a problem of the file is explained.
Rules that need more than one field live in ``rules/``; nothing here knows about lines.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from ipaddress import IPv4Address, IPv4Interface, IPv4Network, IPv6Network
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Discriminator, Field, StringConstraints, Tag

from groundplane.software import DEFAULT_VERSION


@dataclass(frozen=True, slots=True)
class Kind:
    """What a value is, in a user's words: ``words`` follows "is not", ``example`` is right as it stands, ``choices``
    are all there are, where they are few and the type allows more."""

    words: str
    example: str
    choices: tuple[str, ...] = ()


HostName = Annotated[
    str,
    StringConstraints(pattern=r"^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$"),
    Field(description="one label of a host name: lower-case letters, digits and inner hyphens, at most 63"),
    Kind("a host name (lower-case letters, digits and inner hyphens, at most 63 characters)", "worker1"),
]
PlatformName = Annotated[HostName, Kind("a platform's name (formed like a host name)", "lab")]
DomainName = Annotated[
    str,
    StringConstraints(
        max_length=253,
        pattern=r"^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?(\.[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?)*$",
    ),
    Kind("a DNS domain (lower-case host names joined by dots)", "groundplane.internal"),
]
MacAddress = Annotated[
    str,
    StringConstraints(to_lower=True, pattern=r"^([0-9a-fA-F]{2}:){5}[0-9a-fA-F]{2}$"),
    Kind("a MAC address (six pairs of hexadecimal digits with colons)", "52:54:00:12:34:56"),
]
Memory = Annotated[
    str,
    StringConstraints(pattern=r"^[1-9][0-9]{0,6}(MiB|GiB)$"),
    Field(description="an amount of memory, such as 512MiB or 2GiB"),
    Kind("an amount of memory (a whole number with MiB or GiB)", "2GiB"),
]
Processors = Annotated[float, Field(gt=0, le=1024), Kind("a number (above 0, at most 1024)", "2")]
ReleaseName = Annotated[
    str, StringConstraints(pattern=r"^[a-z]+$"), Kind("a release's code name (lower-case letters)", "trixie")
]
Mirror = Annotated[
    str,
    # Printable ASCII without blanks, brackets and backslashes: the text becomes a field of apt's source list.
    StringConstraints(pattern=r"^(https?://|file:/|copy:/)[!-Z^-~]+$", max_length=1000),
    Kind("the address of a package archive (http, https, file or copy)", "http://mirror.example/debian"),
]
KubernetesVersion = Annotated[
    str,
    StringConstraints(pattern=r"^[0-9A-Za-z.+-]*$", max_length=32),
    Kind("a Kubernetes version (three numbers with dots)", DEFAULT_VERSION),
]


def _without_scope(network: IPv6Network) -> IPv6Network:
    """A scope (``%`` and anything) names a card of one computer; of a network it means nothing."""
    if network.network_address.scope_id is not None:
        raise ValueError("a range has no scope")
    return network


PlainIPv6Network = Annotated[IPv6Network, AfterValidator(_without_scope), Kind("an IPv6 range", "fd00:80::/64")]


class Stanza(BaseModel):
    """What all stanzas share: frozen, nothing unknown, kebab-case keys."""

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        strict=False,
        alias_generator=lambda name: name.replace("_", "-"),
        populate_by_name=False,
    )


class Role(StrEnum):
    """What a machine is for."""

    GATEWAY = "gateway"
    BALANCER = "balancer"
    CONTROL_PLANE = "control-plane"
    WORKER = "worker"


OddNumber = Annotated[
    int,
    Field(json_schema_extra={"enum": [1, 3, 5, 7, 9]}),  # a rule says why the others won't do
    Kind("a whole number (1, 3, 5, 7 or 9)", "3", ("1", "3", "5", "7", "9")),
]


class Uplink(Stanza):
    """The gateway's way out. Without this stanza the platform has none."""

    address: IPv4Interface = Field(description="the gateway's outer address with its prefix, as 192.0.2.2/24")
    router: Annotated[IPv4Address, Kind("an IPv4 address", "192.0.2.1")] = Field(
        description="the next hop towards the outside"
    )
    nameservers: tuple[Annotated[IPv4Address, Kind("an IPv4 address", "192.0.2.53")], ...] = Field(
        default=(),
        max_length=16,
        description="where names outside the domain are asked; none: they aren't answered",
    )


class DhcpPool(Stanza):
    """The addresses strangers get; machines of the file have their own."""

    first: Annotated[IPv4Address, Kind("an IPv4 address", "10.80.0.192")] = Field(
        description="first address of the pool"
    )
    last: Annotated[IPv4Address, Kind("an IPv4 address", "10.80.0.254")] = Field(description="last address of the pool")


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
    """The pair in front of the API servers."""

    standby: Standby = Field(
        default=Standby.HOT,
        description="hot: HAProxy runs on both and takes over at once; cold: on the active one alone",
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
    def memory_bytes(self) -> int:
        """``memory`` in bytes."""
        number, unit = int(self.memory[:-3]), self.memory[-3:]
        return number * {"MiB": 2**20, "GiB": 2**30}[unit]


class ServiceSize(Size):
    """What the gateway or a balancer may use."""

    cpus: Processors = Field(default=1, description="processors, fractions allowed where the provider can")
    memory: Memory = Field(default="512MiB", description="memory, such as 2GiB")


class NodeSize(Size):
    """What a control plane or a worker may use."""

    cpus: Processors = Field(default=2, description="processors, fractions allowed where the provider can")
    memory: Memory = Field(default="3GiB", description="memory, such as 2GiB")


class OwnSize(Stanza):
    """What one machine may use where it differs from its role's size."""

    cpus: Processors | None = Field(default=None, description="processors; default: as the role's size says")
    memory: Memory | None = Field(default=None, description="memory, such as 2GiB; default: as the role's size says")

    def over(self, usual: Size) -> Size:
        """The whole size: what isn't stated is as ``usual``."""
        return Size(cpus=self.cpus or usual.cpus, memory=self.memory or usual.memory)


class MachineEntry(Stanza):
    """One machine of an explicit list."""

    name: HostName = Field(description="its host name")
    role: Annotated[Role, Kind(" or ".join(Role), "worker")] = Field(description="what it is for")
    mac: MacAddress | None = Field(default=None, description="its LAN card; default: made from its name")
    address: Annotated[IPv4Address | None, Kind("an IPv4 address", "10.80.0.61")] = Field(
        default=None, description="its address; default: by role and order"
    )
    size: OwnSize | None = Field(default=None, description="what it may use; default: the role's size")


class Counts(Stanza):
    """Machines by role; names are made from them (cp1, cp2, …)."""

    gateway: Literal[1] = Field(default=1, description="the gateway: always one")
    balancer: int = Field(default=2, ge=1, le=2, description="two, or one where the file accepts it")
    control_plane: OddNumber = Field(default=3, ge=1, le=9, description="an odd number, so that a majority exists")
    worker: int = Field(default=2, ge=0, le=1000, description="where ordinary pods run")


class Sizes(Stanza):
    """What a machine of each role may use, unless its own entry says otherwise."""

    gateway: ServiceSize = Field(default=ServiceSize(), description="size of the gateway")
    balancer: ServiceSize = Field(default=ServiceSize(), description="size of each balancer")
    control_plane: NodeSize = Field(default=NodeSize(), description="size of each control plane")
    worker: NodeSize = Field(default=NodeSize(), description="size of each worker")

    def of(self, role: Role) -> Size:
        """The size of a machine of ``role`` whose entry states none."""
        sizes: dict[Role, Size] = {
            Role.GATEWAY: self.gateway,
            Role.BALANCER: self.balancer,
            Role.CONTROL_PLANE: self.control_plane,
            Role.WORKER: self.worker,
        }
        return sizes[role]


class Provider(StrEnum):
    """Where machines come from."""

    LAB = "lab"


def _form_of_machines(value: object) -> str | None:
    """Which of the two forms ``machines`` has, so that only that form's problems are reported."""
    if isinstance(value, (dict, Counts)):
        return "counts"
    return "list" if isinstance(value, (list, tuple)) else None


Machines = Annotated[
    Annotated[Counts, Tag("counts")]
    # A gateway, a balancer and a control plane: rules name the one that is missing, the schema knows the number.
    | Annotated[tuple[MachineEntry, ...], Field(json_schema_extra={"minItems": 3}), Tag("list")],
    Discriminator(_form_of_machines),
]


class ClusterSpec(Stanza):
    """A whole cluster file."""

    name: PlatformName = Field(description="the platform's name; several can live side by side")
    provider: Provider = Field(default=Provider.LAB, description="where machines come from")
    network: Network = Field(default=Network(), description="the LAN all machines share")
    image: Image = Field(default=Image(), description="the base image every machine starts from")
    balancers: Balancers = Field(default=Balancers(), description="the pair in front of the API servers")
    kubernetes: Kubernetes = Field(default=Kubernetes(), description="the cluster itself")
    machines: Machines = Field(default=Counts(), description="counts by role, or an explicit list of machines")
    sizes: Sizes = Field(default=Sizes(), description="what a machine of each role may use")
