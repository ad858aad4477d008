"""Rules of the machines: their names, cards, addresses, number and size."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Iterator
from ipaddress import IPv4Address

from groundplane.errors import SpecError
from groundplane.spec.addressing import NAME_PREFIX, gateway_address, lay_out_addresses, pool_of, spare_address
from groundplane.spec.draft import ALL_MACHINES, Draft
from groundplane.spec.model import Counts, Role, Size
from groundplane.spec.problem import Path
from groundplane.spec.providers import OPERATOR_ON_LAN
from groundplane.spec.rules.finding import Finding
from groundplane.spec.rules.network import FLOATING, LAN, POOL, WIDEST, in_pool, not_a_host_of

MACHINES: Path = ("machines",)

# Names the gateway's DNS gives to something else, and those every /etc/hosts has.
RESERVED = ("api", "registry", "localhost", "ip6-localhost", "ip6-loopback")

_MIB = 2**20
# Chosen, not measured: with less, a role's own services leave no room for anything they carry.
LEAST_MEMORY = {
    Role.GATEWAY: 256 * _MIB,
    Role.BALANCER: 256 * _MIB,
    Role.CONTROL_PLANE: 1536 * _MIB,
    Role.WORKER: 768 * _MIB,
}
LEAST_CPUS = {Role.GATEWAY: 0.1, Role.BALANCER: 0.1, Role.CONTROL_PLANE: 0.5, Role.WORKER: 0.25}
MOST_MEMORY = 2**44


def names_are_host_names(draft: Draft) -> Iterator[Finding]:
    named: list[tuple[Path, str, str]] = [(("name",), draft.spec.name, "lab")]
    if not isinstance(draft.spec.machines, Counts):
        named.extend(((*path, "name"), entry.name, NAME_PREFIX[entry.role] + "1") for path, entry in draft.machines())
    for path, name, example in named:
        if not draft.knows(path):
            continue
        if name.isdecimal():
            yield Finding(
                path,
                f"`{name}` is all digits: it would be taken for an address",
                f"write a name with a letter in it, such as {example}",
            )
        elif name in RESERVED and path != ("name",):
            yield Finding(path, f"`{name}` is a name the platform itself uses", f"write another, such as {example}")


def _repeated(values: Iterable[tuple[Path, Hashable]]) -> Iterator[tuple[Path, Hashable, Path]]:
    """Each value that was there before, with its place and that of the first."""
    first: dict[Hashable, Path] = {}
    for path, value in values:
        if value in first:
            yield path, value, first[value]
        else:
            first[value] = path


def names_are_unique(draft: Draft) -> Iterator[Finding]:
    if isinstance(draft.spec.machines, Counts):
        return
    names = (((*path, "name"), entry.name) for path, entry in draft.machines() if draft.knows((*path, "name")))
    for path, taken, first in _repeated(names):
        line = draft.document.place(first)[0]
        yield Finding(
            path, f"the name {taken} is taken by the machine in line {line}", "give each machine its own name"
        )


def macs_are_unique(draft: Draft) -> Iterator[Finding]:
    macs = [((*path, "mac"), entry.mac) for path, entry in draft.machines() if entry.mac is not None]
    for path, mac in macs:
        if int(mac[:2], 16) & 1:
            meant = f"{int(mac[:2], 16) & 0xFE:02x}{mac[2:]}"
            yield Finding(path, f"{mac} is a multicast address, no card's", f"make its first byte even: {meant}")
        elif mac == "00:00:00:00:00:00":
            yield Finding(path, f"{mac} is no card's address", "write the card's own, or leave it to the default")
    for path, taken, first in _repeated(macs):
        line = draft.document.place(first)[0]
        yield Finding(path, f"{taken} is already in line {line}", "give each its own, or leave it to the default")


def addresses_are_free(draft: Draft) -> Iterator[Finding]:
    if not draft.knows(LAN):
        return
    lan, (first, last) = draft.spec.network.lan, pool_of(draft.spec.network)
    gateway = gateway_address(draft.spec)

    def in_unfit_pool(address: IPv4Address, role: Role) -> bool:
        """A stated pool around the gateway is told at the pool."""
        told_there = role is Role.GATEWAY and draft.states(POOL)
        return draft.knows(POOL) and first <= address <= last and not told_there

    stated = [((*path, "address"), entry.address, entry.role) for path, entry in draft.machines() if entry.address]
    for path, address, role in stated:
        if (reason := not_a_host_of(lan, address)) is not None:
            yield Finding(path, f"{address} {reason}", f"take a free address from {lan[1]} to {lan[-2]}")
        elif in_unfit_pool(address, role):
            yield Finding(path, *in_pool(draft, address, first, last))
        elif draft.knows(ALL_MACHINES) and address == gateway and role is not Role.GATEWAY:
            yield Finding(path, f"{address} is the gateway's address", f"take another, such as {lan[2]}")
    for path, taken, before in _repeated((path, address) for path, address, _ in stated):
        if taken != gateway:
            line = draft.document.place(before)[0]
            yield Finding(path, f"{taken} is already in line {line}", "give each machine its own address")


def _number(draft: Draft, role: Role) -> int:
    return sum(entry.role is role for _, entry in draft.machines())


def roles_are_filled(draft: Draft) -> Iterator[Finding]:
    """Only lists can leave a role empty; counts have bounds."""
    if isinstance(draft.spec.machines, Counts) or not draft.knows(MACHINES):
        return
    complete = draft.knows(ALL_MACHINES)
    gateways = [path for path, entry in draft.machines() if entry.role is Role.GATEWAY]
    if complete and not gateways:
        yield Finding(MACHINES, "no machine is the gateway", "add one: {name: gateway, role: gateway}", at_key=True)
    for path in gateways[1:]:
        line = draft.document.place(gateways[0])[0]
        message = f"this is a second gateway, the first is in line {line}"
        yield Finding((*path, "role"), message, "one platform has one gateway: give it another role")
    if complete and not _number(draft, Role.CONTROL_PLANE):
        instead = "add one, or three: {name: cp1, role: control-plane}"
        yield Finding(MACHINES, "no machine is a control plane", instead, at_key=True)
    if complete and not _number(draft, Role.BALANCER):
        yield Finding(MACHINES, "no machine is a balancer", "add two: {name: lb1, role: balancer}", at_key=True)


def _place_of(draft: Draft, role: Role) -> Path:
    """Where the number of a role's machines is decided: its count, or the last entry of that role."""
    if isinstance(draft.spec.machines, Counts):
        return ("machines", role.value)
    return [(*path, "role") for path, entry in draft.machines() if entry.role is role][-1]


def control_planes_are_odd(draft: Draft) -> Iterator[Finding]:
    number = _number(draft, Role.CONTROL_PLANE)
    if not number or not draft.knows(ALL_MACHINES, ("machines", "control-plane")):
        return
    path = _place_of(draft, Role.CONTROL_PLANE)
    if number % 2 == 0:
        # etcd's majority of 4 is 3: the fourth member adds a machine that may fail and none that may be missing.
        message = f"{number} control planes survive no more failures than {number - 1}"
        yield Finding(path, message, f"take an odd number: {number - 1} or {number + 1}")
    elif number > 9:
        yield Finding(path, f"{number} control planes are more than etcd is fit for", "take 3, 5, 7 or 9")


def balancers_are_a_pair(draft: Draft) -> Iterator[Finding]:
    number = _number(draft, Role.BALANCER)
    accepted = ("balancers", "accept-single-point-of-failure")
    if not number or not draft.knows(ALL_MACHINES, ("machines", "balancer"), accepted):
        return
    path = _place_of(draft, Role.BALANCER)
    if number > 2:
        yield Finding(path, f"{number} balancers: the floating address moves between two", "keep two")
    elif number == 1 and not draft.spec.balancers.accept_single_point_of_failure:
        instead = "take two, or accept it: `balancers: {accept-single-point-of-failure: true}`"
        yield Finding(path, "with one balancer the API is gone when it fails", instead)


def sizes_suffice(draft: Draft) -> Iterator[Finding]:
    for role in Role:
        path: Path = ("sizes", role.value)
        size = draft.spec.sizes.of(role)
        if draft.knows(path):
            yield from _unfit_memory(path, size, role)
            yield from _unfit_cpus(path, size, role)
    for place, entry in draft.machines():
        if entry.size is None or not draft.knows((*place, "role")):
            continue
        size = entry.size.over(draft.spec.sizes.of(entry.role))
        # What the role's size says is told there.
        if entry.size.memory is not None:
            yield from _unfit_memory((*place, "size"), size, entry.role)
        if entry.size.cpus is not None:
            yield from _unfit_cpus((*place, "size"), size, entry.role)


def _unfit_memory(path: Path, size: Size, role: Role) -> Iterator[Finding]:
    if size.memory_bytes < LEAST_MEMORY[role]:
        least = f"{LEAST_MEMORY[role] // _MIB}MiB"
        message = f"{size.memory} is too little memory for a {role.value}"
        yield Finding((*path, "memory"), message, f"write at least {least}")
    elif size.memory_bytes > MOST_MEMORY:
        yield Finding((*path, "memory"), f"{size.memory} is more than any machine has", "mind the unit: MiB or GiB")


def _unfit_cpus(path: Path, size: Size, role: Role) -> Iterator[Finding]:
    if size.cpus < LEAST_CPUS[role]:
        message = f"{size.cpus:g} processors are too few for a {role.value}"
        yield Finding((*path, "cpus"), message, f"write at least {LEAST_CPUS[role]:g}")


def range_has_room(draft: Draft) -> Iterator[Finding]:
    """Only asked where the range itself and all that lies in it are right, or their faults would be told twice."""
    counts: list[Path] = [("machines", role.value) for role in Role]
    if not draft.knows(LAN, POOL, FLOATING, ALL_MACHINES, *counts):
        return
    lan, path = draft.spec.network.lan, LAN if draft.states(LAN) or not draft.states(POOL) else POOL
    try:
        laid_out = lay_out_addresses(draft.spec)
    except SpecError as error:
        yield Finding(path, error.what, error.hint, at_key=path == POOL)
        return
    taken = {laid_out.floating, *laid_out.machines}
    if OPERATOR_ON_LAN[draft.spec.provider] and spare_address(lan, pool_of(draft.spec.network), taken) is None:
        message = f"{lan} has no address left for this computer, which reaches the machines from one of the LAN"
        wider = f"widen network.lan to a /{lan.prefixlen - 1}, or " if lan.prefixlen > WIDEST else ""
        instead = f"{wider}state a smaller network.dhcp-pool"
        yield Finding(path, message, instead, at_key=path == POOL)
