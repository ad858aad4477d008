"""Which machine has which address: the defaults of the file, worked out. Pure.

The rules of the file check the outcome and ``topology`` uses it, so both see the same addresses.

Every role has a stretch of the LAN (``roles.Place``): the floating address first, then balancers, control planes,
workers. A machine named as a count would name it (``lb2``, ``cp3``, ``worker7``) has the place of its number there, so
machines keep their addresses when others come and go. Whoever's place is taken, or whose name has none, gets the first
free address of its first role's stretch or behind it.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network
from itertools import chain, count
from typing import Final

from groundplane.errors import SpecError
from groundplane.spec.model import ClusterSpec, Counts, MachineEntry, Network
from groundplane.spec.roles import ROLES, Place, Role

_FLOATING: Final = Place(10, 2, 2)


@dataclass(frozen=True, slots=True)
class Addressing:
    """The LAN's addresses. ``machines`` are in the order of ``roster``."""

    gateway: IPv4Address
    floating: IPv4Address
    pool_first: IPv4Address
    pool_last: IPv4Address
    machines: tuple[IPv4Address, ...]


def roster(spec: ClusterSpec) -> tuple[MachineEntry, ...]:
    """Every machine of the file, counts written out: first roles in the order of ``Role``, each in the file's
    order."""
    if isinstance(spec.machines, Counts):
        return _counted(spec.machines)
    order = {role: place for place, role in enumerate(Role)}
    return tuple(sorted(spec.machines, key=lambda entry: order[entry.first]))


@lru_cache(maxsize=16)
def _counted(counts: Counts) -> tuple[MachineEntry, ...]:
    """The machines that are counted: several rules ask for them, again for every remedy that is tried."""
    return tuple(
        # Nothing here needs to be validated.
        MachineEntry.model_construct(name=ROLES[role].prefix + (str(number) if ROLES[role].place else ""), role=role)
        for role in Role
        for number in range(1, counts.of(role) + 1)
    )


def grown(spec: ClusterSpec, roles: Iterable[Role]) -> ClusterSpec:
    """``spec`` with one machine more for each of ``roles``, named as counts would name it; all others stay as they are.

    No rule is asked: there may be an even number of control planes.
    """
    for role in roles:
        taken = {entry.name for entry in roster(spec)}
        names = (name for number in count(1) if (name := f"{ROLES[role].prefix}{number}") not in taken)
        more = (
            spec.model_copy(update={"machines": (*roster(spec), MachineEntry(name=name, role=role))}) for name in names
        )
        before = _placed(spec)
        spec = next(one for one in more if before.items() <= _placed(one).items())
    return spec


def _placed(spec: ClusterSpec) -> dict[str, IPv4Address]:
    """Every machine's address, by its name."""
    entries = roster(spec)
    return {entry.name: address for entry, address in zip(entries, lay_out_addresses(spec).machines, strict=True)}


def gateway_address(spec: ClusterSpec) -> IPv4Address:
    """The gateway's own address where its entry states one, otherwise the LAN's first."""
    stated = next((entry.address for entry in roster(spec) if entry.has(Role.GATEWAY) and entry.address), None)
    return stated or spec.network.lan[1]


def pool_of(network: Network) -> tuple[IPv4Address, IPv4Address]:
    """First and last address of the DHCP pool; by default the LAN's last quarter but for the broadcast address."""
    if network.dhcp_pool is not None:
        return network.dhcp_pool.first, network.dhcp_pool.last
    lan = network.lan
    return lan[lan.num_addresses - lan.num_addresses // 4], lan[-2]


def lay_out_addresses(spec: ClusterSpec) -> Addressing:
    """Give every machine an address. Raises ``SpecError`` when the LAN has too few."""
    machines = roster(spec)
    lan, gateway, pool = spec.network.lan, gateway_address(spec), pool_of(spec.network)
    size = lan.num_addresses
    free = _Free(lan, pool, taken={gateway, *(entry.address for entry in machines if entry.address)})
    floating = spec.network.floating_address or free.take_at(_FLOATING.within(size)) or free.take_from(2)
    free.taken.add(floating)
    addresses = {id(entry): entry.address for entry in machines if entry.address}
    addresses |= {id(entry): gateway for entry in machines if entry.has(Role.GATEWAY)}
    for entry, place in _places(machines, size):
        if id(entry) not in addresses and (address := free.take_at(place)):
            addresses[id(entry)] = address
    for entry in machines:
        if id(entry) not in addresses:
            addresses[id(entry)] = free.take_from(_begin(entry.first, size))
    return Addressing(gateway, floating, *pool, tuple(addresses[id(entry)] for entry in machines))


def spare_address(
    lan: IPv4Network, pool: tuple[IPv4Address, IPv4Address], taken: Collection[IPv4Address]
) -> IPv4Address | None:
    """The highest address that nobody has and no stranger may get, or None: for the computer groundplane runs on,
    where it takes part in the LAN. It is found by counting down because machines are numbered upwards."""
    first, last = pool
    candidate = int(lan.broadcast_address) - 1
    while candidate > int(lan.network_address):
        address = IPv4Address(candidate)
        if first <= address <= last:
            candidate = int(first) - 1
        elif address in taken:
            candidate -= 1
        else:
            return address
    return None


def _begin(role: Role, size: int) -> int:
    """Where the role's stretch begins. Fixed by the range alone: were it to follow the number of machines, one more
    would move all others."""
    place = ROLES[role].place
    return place.within(size) if place else 1


def _places(machines: Iterable[MachineEntry], size: int) -> Iterator[tuple[MachineEntry, int]]:
    """The machines whose names carry a number of their first role, with the offset that number stands for."""
    begins = {role: row.place.within(size) for role, row in ROLES.items() if row.place}
    for entry in machines:
        match = re.fullmatch(rf"{ROLES[entry.first].prefix}([1-9][0-9]{{0,5}})", entry.name)
        if match is None or entry.first not in begins:
            continue
        begin = begins[entry.first]
        place = begin + int(match[1]) - 1
        end = min((other for other in begins.values() if other > begin), default=None)
        if end is None or place < end:
            yield entry, place


class _Free:
    """The addresses nobody has. Searching on goes forward only, so a thousand machines cost a thousand steps."""

    def __init__(self, lan: IPv4Network, pool: tuple[IPv4Address, IPv4Address], taken: set[IPv4Address]) -> None:
        self.lan = lan
        self._begin, self._end = int(lan.network_address), int(lan.broadcast_address)
        self._pool = range(int(pool[0]), int(pool[1]) + 1)
        self.taken = taken
        self._seen: dict[int, Iterator[int]] = {}

    def take_at(self, place: int) -> IPv4Address | None:
        """The address at an offset from the range's own, or None where it isn't free."""
        number = self._begin + place
        if not self._begin < number < self._end or number in self._pool:
            return None
        address = IPv4Address(number)
        if address in self.taken:
            return None
        self.taken.add(address)
        return address

    def take_from(self, begin: int) -> IPv4Address:
        """The first free address from an offset on, then from the range's beginning."""
        if begin not in self._seen:
            end = self._end - self._begin
            self._seen[begin] = chain(range(min(begin, end), end), range(1, min(begin, end)))
        search = self._seen[begin]
        for place in search:
            if (address := self.take_at(place)) is not None:
                return address
        raise SpecError(
            f"{self.lan} has too few addresses for the machines, the floating address and the DHCP pool",
            hint="widen network.lan, or state a smaller network.dhcp-pool",
        )
