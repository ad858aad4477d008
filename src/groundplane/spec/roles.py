"""What a machine can be for, and all that follows from a role alone: one row each.

Whatever has to be said of every role is a column here, or a table made with ``by_role``: a role that is added and
forgotten in one of them fails when its module is imported, not by vanishing from addresses, rules or plans.

A machine may have several roles. It is named and placed by its first one (in the order of ``Role``), needs what all of
them need (``together``), and is worked on in the turn of the last of them and alone.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, TypeVar

MIB: Final = 2**20
GIB: Final = 2**30


class Role(StrEnum):
    """What a machine is for."""

    GATEWAY = "gateway"
    BALANCER = "balancer"
    CONTROL_PLANE = "control-plane"
    WORKER = "worker"


@dataclass(frozen=True, slots=True)
class Needs:
    """Processors and bytes of memory."""

    cpus: float
    memory: int


@dataclass(frozen=True, slots=True)
class Place:
    """Where a role's addresses begin in the LAN, counted from the range's own address: in a /24 or wider, down to a
    /27, and in the smallest. A role's stretch ends where the next one begins."""

    wide: int
    narrow: int
    smallest: int

    def within(self, size: int) -> int:
        """The offset in a range of ``size`` addresses."""
        return self.wide if size >= 256 else self.narrow if size >= 32 else self.smallest


@dataclass(frozen=True, slots=True)
class RoleRow:
    """One role.

    ``prefix`` begins the names that counts give; ``place`` is None for a role whose address the LAN itself decides, and
    which has one machine. ``least`` is what its own services take (chosen, not measured: with less they leave no room
    for anything they carry), ``usual`` what it gets where the file states nothing. ``node``: it is a Kubernetes node.
    ``prompt``: others take its silence for its death within a second; ``weight``: how much it counts when processors
    are short, by how much a worker does.
    ``turn``: when it is worked on in a rollout, the lowest first; ``share``: of all its machines, how many at once
    (0: one).
    """

    prefix: str
    place: Place | None
    least: Needs
    usual: Needs
    node: bool
    prompt: bool
    weight: int
    turn: int
    share: float = 0


T = TypeVar("T")


def by_role(rows: Mapping[Role, T]) -> Mapping[Role, T]:
    """``rows`` in the order of ``Role``. LookupError where one is missing: for tables made at import."""
    missing = [role.value for role in Role if role not in rows]
    if missing:
        raise LookupError(f"a table by role says nothing of {', '.join(missing)}")
    return {role: rows[role] for role in Role}


# Of the gateway and a balancer, and of nodes.
SERVICE: Final = Needs(cpus=1, memory=512 * MIB)
NODE: Final = Needs(cpus=2, memory=3 * GIB)
_LITTLE: Final = Needs(cpus=0.1, memory=256 * MIB)

ROLES: Final = by_role(
    {
        # All others lean on it: what it serves must be right before they are touched.
        Role.GATEWAY: RoleRow(
            prefix="gateway", place=None, least=_LITTLE, usual=SERVICE, node=False, prompt=True, weight=8, turn=0
        ),
        # Last: by then all that it balances has proven itself.
        Role.BALANCER: RoleRow(
            prefix="lb",
            place=Place(11, 3, 3),
            least=_LITTLE,
            usual=SERVICE,
            node=False,
            prompt=True,
            weight=8,
            turn=3,
        ),
        # One by one, or etcd could lose its majority.
        Role.CONTROL_PLANE: RoleRow(
            prefix="cp",
            place=Place(21, 5, 5),
            least=Needs(cpus=0.5, memory=1536 * MIB),
            usual=NODE,
            node=True,
            prompt=False,
            weight=3,
            turn=2,
        ),
        Role.WORKER: RoleRow(
            prefix="worker",
            place=Place(51, 14, 8),
            least=Needs(cpus=0.25, memory=768 * MIB),
            usual=NODE,
            node=True,
            prompt=False,
            weight=1,
            turn=1,
            share=0.1,
        ),
    }
)


def in_order(roles: Iterable[Role]) -> tuple[Role, ...]:
    """Each of ``roles`` once, in the order of ``Role``."""
    wanted = set(roles)
    return tuple(role for role in Role if role in wanted)


def together(needs: Iterable[Needs]) -> Needs:
    """What one machine needs for several roles: their memory added up, for each keeps its own; the processors of the
    greatest, for they take turns on them."""
    known = tuple(needs)
    return Needs(cpus=max(each.cpus for each in known), memory=sum(each.memory for each in known))


def least(roles: Iterable[Role]) -> Needs:
    """The least that a machine of these roles can do with."""
    return together(ROLES[role].least for role in roles)


def words(roles: Iterable[Role]) -> str:
    """The roles in words: ``worker``; ``balancer, control-plane and worker``."""
    *others, last = (role.value for role in roles)
    return f"{', '.join(others)} and {last}" if others else last
