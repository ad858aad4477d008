"""Which machine has which network card: the stated ones, the others made from names. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from hashlib import sha256

from groundplane.spec.addressing import roster
from groundplane.spec.model import ClusterSpec


def lay_out_cards(spec: ClusterSpec) -> tuple[str, ...]:
    """Every machine's MAC address, all different, in the order of ``roster``."""
    return tuple(_macs(spec))


def _macs(spec: ClusterSpec) -> Iterator[str]:
    entries = roster(spec)
    taken = {entry.mac for entry in entries if entry.mac is not None}
    for entry in entries:
        if entry.mac is not None:
            yield entry.mac
            continue
        mac = next(mac for mac in made_macs(spec.name, entry.name) if mac not in taken)
        taken.add(mac)
        yield mac


def made_macs(platform: str, machine: str) -> Iterator[str]:
    """The addresses a machine's card may get, in order of preference.

    40 bits of a hash behind 02: locally administered, unicast (IEEE 802, section 8.2). The platform's name is hashed
    too, so that two platforms on one wire don't meet; the second and later choices are for the one case in 2^40.
    """
    attempt = 0
    while True:
        salt = f"/{attempt}" if attempt else ""
        digest = sha256(f"{platform}/{machine}{salt}".encode()).digest()
        yield ":".join(f"{byte:02x}" for byte in (0x02, *digest[:5]))
        attempt += 1
