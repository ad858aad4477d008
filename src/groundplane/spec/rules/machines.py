"""Rules of the machines: their names, cards, addresses, number and size."""

from __future__ import annotations

import re
from collections.abc import Hashable, Iterable, Iterator
from functools import partial
from ipaddress import IPv4Address
from itertools import count, islice

from groundplane.errors import SpecError
from groundplane.spec.addressing import gateway_address, lay_out_addresses, pool_of, roster, spare_address
from groundplane.spec.draft import ALL_MACHINES, Draft
from groundplane.spec.model import ClusterSpec, Counts, MachineEntry
from groundplane.spec.names import NAMES_WITH_A_MEANING
from groundplane.spec.problem import Path
from groundplane.spec.providers import OPERATOR_ON_LAN
from groundplane.spec.remedy import Edit, Edits, Remedy, write
from groundplane.spec.roles import MIB, ROLES, Needs, Role, in_order, least, words
from groundplane.spec.rules.network import FLOATING, LAN, POOL, WIDEST, free_address, in_pool, not_a_host_of
from groundplane.spec.rules.violation import Violation

MACHINES: Path = ("machines",)

# Names the gateway's DNS gives to something else.
RESERVED = ("api", "registry")

MOST_MEMORY = 2**44
# What dnsmasq makes of these words among a host's settings: a lease's length, or that the host is to be ignored.
_LEASE_TIME = re.compile(r"[0-9]+[smhdw]|infinite|ignore")
_SMALLER_POOL = "state a smaller network.dhcp-pool"


def names_are_host_names(draft: Draft) -> Iterator[Violation]:
    named: list[tuple[Path, str, str]] = [(("name",), draft.spec.name, "lab")]
    if not isinstance(draft.spec.machines, Counts):
        examples = {role: _unused(draft, role) for role in Role}
        named.extend(((*path, "name"), entry.name, examples[entry.first]) for path, entry in draft.machines)
    for path, name, example in named:
        if not draft.knows(path):
            continue
        if name.isdecimal():
            yield Violation(
                path,
                f"`{name}` is all digits: it would be taken for an address",
                "write a name with a letter in it",
                remedies=(write(path, example, f"write a name with a letter in it, such as {example}"),),
                borne=partial(_has_machine, name),
            )
        elif path != ("name",) and (reason := _why_taken(name)) is not None:
            remedies = (write(path, example, f"write another, such as {example}"),)
            message = f"`{name}` {reason}"
            yield Violation(path, message, "write another", remedies=remedies, borne=partial(_has_machine, name))


def _why_taken(name: str) -> str | None:
    """What follows ``name`` in a sentence that says why it can't be a machine's, or None."""
    if name in RESERVED:
        return "is a name the platform itself uses"
    if name in NAMES_WITH_A_MEANING:
        return "has a meaning of its own to resolvers or to programs that look it up"
    if _LEASE_TIME.fullmatch(name):
        # dnsmasq(8), dhcp-host: words like these are how long a lease lasts, or that none is given.
        return "is no name to dnsmasq, which gives machines theirs: it has a meaning of its own there"
    return None


def _has_machine(name: str, built: ClusterSpec) -> bool:
    return any(entry.name == name for entry in roster(built))


def _repeated(values: Iterable[tuple[Path, Hashable]]) -> Iterator[tuple[Path, Hashable, Path]]:
    """Each value that was there before, with its place and that of the first."""
    first: dict[Hashable, Path] = {}
    for path, value in values:
        if value in first:
            yield path, value, first[value]
        else:
            first[value] = path


def names_are_unique(draft: Draft) -> Iterator[Violation]:
    if isinstance(draft.spec.machines, Counts):
        return
    names = (((*path, "name"), entry.name) for path, entry in draft.machines if draft.knows((*path, "name")))
    for path, taken, first in _repeated(names):
        line = draft.document.place(first)[0]
        yield Violation(
            path, f"the name {taken} is taken by the machine in line {line}", "give each machine its own name"
        )


def macs_are_unique(draft: Draft) -> Iterator[Violation]:
    macs = [((*path, "mac"), entry.mac) for path, entry in draft.machines if entry.mac is not None]
    for path, mac in macs:
        if int(mac[:2], 16) & 1:
            meant = f"{int(mac[:2], 16) & 0xFE:02x}{mac[2:]}"
            remedies = (write(path, meant, f"make its first byte even: {meant}"),)
            message = f"{mac} is a multicast address, no card's"
            yield Violation(path, message, "make its first byte even", remedies=remedies)
        elif mac == "00:00:00:00:00:00":
            yield Violation(path, f"{mac} is no card's address", "write the card's own, or leave it to the default")
    for path, taken, first in _repeated(macs):
        line = draft.document.place(first)[0]
        yield Violation(path, f"{taken} is already in line {line}", "give each its own, or leave it to the default")


def addresses_are_free(draft: Draft) -> Iterator[Violation]:
    if not draft.knows(LAN):
        return
    lan, (first, last) = draft.spec.network.lan, pool_of(draft.spec.network)
    gateway, free = gateway_address(draft.spec), free_address(draft)

    def in_unfit_pool(address: IPv4Address, entry: MachineEntry) -> bool:
        """A stated pool around the gateway is told at the pool."""
        told_there = entry.has(Role.GATEWAY) and draft.states(POOL)
        return draft.knows(POOL) and first <= address <= last and not told_there

    stated = [((*path, "address"), entry.address, entry) for path, entry in draft.machines if entry.address]
    for path, address, entry in stated:
        if (reason := not_a_host_of(lan, address)) is not None:
            yield Violation(path, f"{address} {reason}", f"take a free address from {lan[1]} to {lan[-2]}")
        elif in_unfit_pool(address, entry):
            yield Violation(path, *in_pool(draft, address, first, last))
        elif draft.knows(ALL_MACHINES) and address == gateway and not entry.has(Role.GATEWAY):
            yield Violation(path, f"{address} is the gateway's address", "take another", remedies=_taking(path, free))
    for path, taken, before in _repeated((path, address) for path, address, _ in stated):
        if taken != gateway:
            line = draft.document.place(before)[0]
            yield Violation(path, f"{taken} is already in line {line}", "give each machine its own address")


def _taking(path: Path, free: IPv4Address | None) -> tuple[Remedy, ...]:
    return (write(path, str(free), f"take another, such as {free}"),) if free else ()


def _number(draft: Draft, role: Role) -> int:
    return sum(entry.has(role) for _, entry in draft.machines)


def roles_are_filled(draft: Draft) -> Iterator[Violation]:
    """Only lists can leave a role empty; counts have bounds."""
    if isinstance(draft.spec.machines, Counts) or not draft.knows(MACHINES):
        return
    complete = draft.knows(ALL_MACHINES)
    gateways = [path for path, entry in draft.machines if entry.has(Role.GATEWAY)]
    if complete and not gateways:
        remedies = _added(draft, Role.GATEWAY, "add one", 1)
        yield Violation(MACHINES, "no machine is the gateway", "add one", at_key=True, remedies=remedies)
    for path in gateways[1:]:
        line = draft.document.place(gateways[0])[0]
        message = f"this is a second gateway, the first is in line {line}"
        yield Violation(_role_place(draft, path), message, "one platform has one gateway: give it another role")
    if complete and not _number(draft, Role.CONTROL_PLANE):
        remedies = _added(draft, Role.CONTROL_PLANE, "add one, or three", 3)
        yield Violation(MACHINES, "no machine is a control plane", "add one, or three", at_key=True, remedies=remedies)
    if complete and not _number(draft, Role.BALANCER):
        remedies = _added(draft, Role.BALANCER, "add two", 2)
        yield Violation(MACHINES, "no machine is a balancer", "add two", at_key=True, remedies=remedies)


def _role_place(draft: Draft, machine: Path) -> Path:
    """Where an entry of the list says what it is for."""
    several = (*machine, "roles")
    return several if draft.states(several) else (*machine, "role")


def _place_of(draft: Draft, role: Role) -> Path:
    """Where the number of a role's machines is decided: its count, or the last entry of that role."""
    if isinstance(draft.spec.machines, Counts):
        return ("machines", role.value)
    return [_role_place(draft, path) for path, entry in draft.machines if entry.has(role)][-1]


def roles_are_said_once(draft: Draft) -> Iterator[Violation]:
    if isinstance(draft.spec.machines, Counts):
        return
    for path, entry in draft.machines:
        several = (*path, "roles")
        if entry.roles is None or not draft.knows(several):
            continue
        if entry.role is not None:
            instead = "keep one of them: `role` for one role, `roles` for several"
            yield Violation(several, "`role` and `roles` both say what it is for", instead, at_key=True)
        if len(in_order(entry.roles)) < len(entry.roles):
            once = in_order(entry.roles)
            remedies = (write(several, [role.value for role in once], f"name each role once: [{', '.join(once)}]"),)
            yield Violation(several, "a role is there twice", "name each role once", remedies=remedies)


def the_vote_is_a_third(draft: Draft) -> Iterator[Violation]:
    """The one pair of roles that can't always share a machine."""
    if not draft.knows(ALL_MACHINES, ("machines", "balancer")) or _number(draft, Role.BALANCER) != 2:
        return
    for path, entry in draft.machines:
        if entry.has(Role.GATEWAY) and entry.has(Role.BALANCER):
            yield Violation(
                _role_place(draft, path),
                "the gateway is one of two balancers: its vote decides between the two, and would be gone with it",
                "take three balancers, who need no such vote, or two that aren't the gateway",
            )


def control_planes_are_odd(draft: Draft) -> Iterator[Violation]:
    number = _number(draft, Role.CONTROL_PLANE)
    if not number or not draft.knows(ALL_MACHINES, ("machines", "control-plane")):
        return
    path = _place_of(draft, Role.CONTROL_PLANE)
    if number > 9:
        yield Violation(path, f"{number} control planes are more than etcd is fit for", "take 3, 5, 7 or 9")
    elif number % 2 == 0:
        # etcd's majority of 4 is 3: the fourth member adds a machine that may fail and none that may be missing.
        message = f"{number} control planes survive no more failures than {number - 1}"
        words = f"take an odd number: {number - 1} or {number + 1}"
        remedies = (
            Remedy(words, (_one_more(draft, path, Role.CONTROL_PLANE), _one_less(draft, path, Role.CONTROL_PLANE))),
        )
        yield Violation(path, message, "take an odd number", remedies=remedies)


def balancers_are_few(draft: Draft) -> Iterator[Violation]:
    number = _number(draft, Role.BALANCER)
    accepted = ("balancers", "accept-single-point-of-failure")
    if not number or not draft.knows(ALL_MACHINES, ("machines", "balancer"), accepted):
        return
    path = _place_of(draft, Role.BALANCER)
    if number > 3:
        # Corosync's token goes round all of them, so each one more makes finding a dead one slower.
        yield Violation(path, f"{number} balancers: of more than three each only makes a takeover slower", "keep three")
    elif number == 1 and not draft.spec.balancers.accept_single_point_of_failure:
        acceptance = "accept it: `balancers: {accept-single-point-of-failure: true}`"
        accepts = ((accepted, True),)
        remedies = (
            Remedy(f"take two, or {acceptance}", (_one_more(draft, path, Role.BALANCER), accepts)),
            Remedy(acceptance, (accepts,)),
        )
        yield Violation(path, "with one balancer the API is gone when it fails", "take two", remedies=remedies)


def sizes_suffice(draft: Draft) -> Iterator[Violation]:
    for role in Role:
        path: Path = ("sizes", role.value)
        size = draft.spec.sizes.stanza(role)
        if draft.knows(path):
            yield from _unfit_memory(path, size.memory, size.needs, (role,))
            yield from _unfit_cpus(path, size.needs, (role,))
    for place, entry in draft.machines:
        if entry.size is None or not draft.knows((*place, "role"), (*place, "roles")):
            continue
        needs = entry.size.over(draft.spec.sizes.of(*entry.all_roles))
        # What the role's size says is told there.
        if entry.size.memory is not None:
            yield from _unfit_memory((*place, "size"), entry.size.memory, needs, entry.all_roles)
        if entry.size.cpus is not None:
            yield from _unfit_cpus((*place, "size"), needs, entry.all_roles)


def _unfit_memory(path: Path, written: str, needs: Needs, roles: tuple[Role, ...]) -> Iterator[Violation]:
    if needs.memory < least(roles).memory:
        enough = f"{least(roles).memory // MIB}MiB"
        message = f"{written} is too little memory for a {words(roles)}"
        remedies = (write((*path, "memory"), enough, f"write at least {enough}"),)
        yield Violation((*path, "memory"), message, "write more", remedies=remedies)
    elif needs.memory > MOST_MEMORY:
        yield Violation((*path, "memory"), f"{written} is more than any machine has", "mind the unit: MiB or GiB")


def _unfit_cpus(path: Path, needs: Needs, roles: tuple[Role, ...]) -> Iterator[Violation]:
    if needs.cpus < least(roles).cpus:
        message = f"{needs.cpus:g} processors are too few for a {words(roles)}"
        remedies = (write((*path, "cpus"), least(roles).cpus, f"write at least {least(roles).cpus:g}"),)
        yield Violation((*path, "cpus"), message, "write more", remedies=remedies)


def range_has_room(draft: Draft) -> Iterator[Violation]:
    """Only asked where the range itself and all that lies in it are right, or their faults would be told twice."""
    counts: list[Path] = [("machines", role.value) for role in Role]
    if not draft.knows(LAN, POOL, FLOATING, ALL_MACHINES, *counts):
        return
    lan, path = draft.spec.network.lan, LAN if draft.states(LAN) or not draft.states(POOL) else POOL
    try:
        laid_out = lay_out_addresses(draft.spec)
    except SpecError as error:
        yield Violation(path, error.what, error.hint, at_key=path == POOL, remedies=_wider(draft))
        return
    taken = {laid_out.floating, *laid_out.machines}
    if OPERATOR_ON_LAN[draft.spec.provider] and spare_address(lan, pool_of(draft.spec.network), taken) is None:
        message = f"{lan} has no address left for this computer, which reaches the machines from one of the LAN"
        yield Violation(path, message, _SMALLER_POOL, at_key=path == POOL, remedies=_wider(draft))


def _wider(draft: Draft) -> tuple[Remedy, ...]:
    """Ranges around the LAN's own that are wide enough, the narrowest first."""
    network = draft.spec.network
    found: list[Remedy] = []
    with_an_address_each = 32 - len(draft.machines).bit_length()
    for prefix in range(min(network.lan.prefixlen - 1, with_an_address_each), WIDEST - 1, -1):
        wide = network.lan.supernet(new_prefix=prefix)
        spec = draft.spec.model_copy(update={"network": network.model_copy(update={"lan": wide})})
        try:
            lay_out_addresses(spec)
        except SpecError:
            continue
        found.append(write(LAN, str(wide), f"widen network.lan to {wide}, or {_SMALLER_POOL}"))
        if len(found) == 2:  # the narrowest may be full; what overlaps the next, wider ones overlap as well
            break
    return tuple(found)


def _unused(draft: Draft, role: Role) -> str:
    """A name that a machine of ``role`` may have and none has."""
    taken = {entry.name for _, entry in draft.machines}
    if role is Role.GATEWAY and ROLES[role].prefix not in taken:
        return ROLES[role].prefix
    return next(name for number in count(1) if (name := f"{ROLES[role].prefix}{number}") not in taken)


def _entry(draft: Draft, role: Role, more: int = 0) -> tuple[Edit, str]:
    """A machine of ``role`` behind the last of the list, ``more`` behind that, and how to write it."""
    taken = {entry.name for _, entry in draft.machines}
    names = (f"{ROLES[role].prefix}{number}" for number in count(1))
    free = [name for name in islice(names, len(taken) + more + 1) if name not in taken]
    listed = draft.document.data.get("machines")
    place = (len(listed) if isinstance(listed, list) else 0) + more
    name = ROLES[role].prefix if role is Role.GATEWAY and ROLES[role].prefix not in taken else free[more]
    return ((*MACHINES, place), {"name": name, "role": role.value}), f"{{name: {name}, role: {role.value}}}"


def _added(draft: Draft, role: Role, words: str, number: int) -> tuple[Remedy, ...]:
    added = [_entry(draft, role, more) for more in range(number)]
    return (Remedy(f"{words}: {added[0][1]}", (tuple(edit for edit, _ in added),)),)


def _one_more(draft: Draft, path: Path, role: Role) -> Edits:
    """One more machine of the role whose number is decided at ``path``."""
    if isinstance(draft.spec.machines, Counts):
        return ((path, _number(draft, role) + 1),)
    return (_entry(draft, role)[0],)


def _one_less(draft: Draft, path: Path, role: Role) -> Edits:
    if isinstance(draft.spec.machines, Counts):
        return ((path, _number(draft, role) - 1),)
    if path[-1] == "role":
        return ((path, Role.WORKER.value),)
    entry = next(entry for place, entry in draft.machines if place == path[:-1])
    others = [one.value for one in entry.all_roles if one is not role]
    return ((path, [*others] or [Role.WORKER.value]),)
