"""The table of roles, and what a machine of several is like."""

from __future__ import annotations

import pytest

from groundplane.spec import load
from groundplane.spec.addressing import lay_out_addresses, roster
from groundplane.spec.model import MachineEntry, Sizes
from groundplane.spec.roles import ROLES, Needs, Role, by_role


def test_a_role_that_is_forgotten_in_a_table_fails_at_once() -> None:
    known: dict[Role, int] = {role: 1 for role in Role if role is not Role.WORKER}
    with pytest.raises(LookupError, match="worker"):
        by_role(known)


def test_tables_are_in_the_order_of_the_roles() -> None:
    assert list(by_role(dict.fromkeys(reversed(Role), 1))) == list(Role)


def test_roles_are_in_their_order_whichever_way_they_are_written() -> None:
    short = MachineEntry.model_validate({"name": "a", "role": "worker"})
    long = MachineEntry.model_validate({"name": "a", "roles": ["worker", "balancer"]})
    assert (short.all_roles, long.all_roles) == ((Role.WORKER,), (Role.BALANCER, Role.WORKER))
    assert long.first is Role.BALANCER
    assert long.has(Role.WORKER)
    assert not long.has(Role.GATEWAY, Role.CONTROL_PLANE)


def test_several_roles_have_the_memory_of_all_and_the_processors_of_the_greatest() -> None:
    one, other = ROLES[Role.BALANCER].usual, ROLES[Role.WORKER].usual
    assert Sizes().of(Role.BALANCER, Role.WORKER) == Needs(max(one.cpus, other.cpus), one.memory + other.memory)


def test_a_machine_of_several_roles_is_placed_by_its_first() -> None:
    machines = "".join(
        f"  - {{name: {name}, roles: [worker, control-plane, balancer]}}\n" for name in ("lb2", "x", "cp1")
    )
    spec = load(
        f"name: lab\nmachines:\n  - {{name: g, role: gateway}}\n{machines}".encode(), name="f", versions=("1.37.2",)
    )
    found = dict(zip((entry.name for entry in roster(spec)), lay_out_addresses(spec).machines, strict=True))
    assert {name: str(address) for name, address in found.items()} == {
        "g": "10.80.0.1", "lb2": "10.80.0.12", "x": "10.80.0.11", "cp1": "10.80.0.13"
    }  # fmt: skip
