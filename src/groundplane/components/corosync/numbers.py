"""Corosync's number of each balancer (its nodeid): a member that ran under another one would be another member. Pure.

A balancer named as a count would name it (``lb2``) has its number for its own, whoever else comes or goes. One of
another name gets the lowest number that nobody has or would get: that depends on the others, so it has to be
remembered.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from itertools import count

from groundplane.spec.roles import ROLES, Role


def numbers(names: Sequence[str], known: Mapping[str, int]) -> dict[str, int]:
    """The number of each balancer of ``names``, from 1.

    ``known`` are the numbers that balancers have, by name. They keep them; a number that one has which is not among
    ``names`` is nobody else's: it may be about to leave, and still be a member.
    """
    found = {name: known[name] for name in names if name in known}
    taken = set(known.values())
    for name in names:
        own = _own(name)
        if name not in found and own and own not in taken:
            found[name] = own
            taken.add(own)
    for name in names:
        if name not in found:
            found[name] = next(number for number in count(1) if number not in taken)
            taken.add(found[name])
    return {name: found[name] for name in names}


def _own(name: str) -> int:
    """The number that a balancer's name carries, 0 for none. Six digits, as with its address."""
    match = re.fullmatch(rf"{ROLES[Role.BALANCER].prefix}([1-9][0-9]{{0,5}})", name)
    return int(match[1]) if match else 0
