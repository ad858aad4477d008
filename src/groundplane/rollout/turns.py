"""Which machines are worked on together, and in what order, so that the platform serves meanwhile. Pure.

The order and the numbers are the roles' own (``spec/roles.py``): the gateway, on which all others lean; workers, a
share at a time; control planes one by one; balancers one by one, the one with the floating address last: by then the
others have proven themselves.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from groundplane.spec.roles import ROLES, Role
from groundplane.topology.model import Machine, Topology


def turns(
    topology: Topology, machines: Sequence[Machine], holder: str | None = None, *, balancers_early: bool = False
) -> Iterator[tuple[Machine, ...]]:
    """``machines`` in batches that are worked on one after the other.

    One with several roles has the turn of its most careful one, and is alone in it. ``holder`` is the balancer that has
    the floating address. ``balancers_early``: balancers come right after the gateway.
    """
    order = sorted(Role, key=lambda role: ROLES[role].turn)
    if balancers_early:
        order.remove(Role.BALANCER)
        order.insert(order.index(Role.GATEWAY) + 1, Role.BALANCER)
    for role in order:
        of_turn = [machine for machine in machines if _most_careful(machine) is role]
        together = [machine for machine in of_turn if len(machine.roles) == 1 and machine.name != holder]
        at_once = max(1, int(len(topology.of_role(role)) * ROLES[role].share))
        for begin in range(0, len(together), at_once):
            yield tuple(together[begin : begin + at_once])
        alone = [machine for machine in of_turn if machine not in together]
        for machine in sorted(alone, key=lambda machine: machine.name == holder):
            yield (machine,)


def _most_careful(machine: Machine) -> Role:
    return max(machine.roles, key=lambda role: ROLES[role].turn)
