"""Which checks belong to what changed on a machine."""

from __future__ import annotations

from tests.golden.laid_out import cases

from groundplane.design import design

LAB = design(cases()["lab"])


def names(machine: str, *keys: str) -> set[str]:
    return {check.name for check in LAB.checks_after(machine, keys)}


def test_the_checks_of_the_component_that_owns_a_file_follow_it() -> None:
    assert names("lb1", "/etc/haproxy/haproxy.cfg") == {"haproxy-backends", "api-reachable"}
    assert names("lb1", "corosync.service") == {"quorum", "membership-encrypted"}
    assert names("gateway", "chrony.service") == names("cp1", "chrony.service") == {"time"}


def test_what_compares_all_machines_with_the_file_is_not_asked_between_them() -> None:
    assert "node-sizes" in {check.name for check in LAB.checks}
    assert "kubelet-certificates" in names("worker1", "groundplane-size.service")
    assert "node-sizes" not in names("worker1", "groundplane-size.service")
    assert {check.name for check in LAB.checks} - {check.name for check in LAB.checks_beside()} == {"node-sizes"}


def test_what_nobody_owns_any_more_asks_for_all_that_have_to_do_with_the_machine() -> None:
    assert names("lb1", "/etc/long-gone") >= {"haproxy-backends", "quorum", "floating-address", "time"}
    assert "nodes" not in names("lb1", "/etc/long-gone")


def test_nothing_changed_asks_for_nothing() -> None:
    assert names("lb1") == set()


def test_what_a_restart_interrupts_is_known_of_every_unit_that_reads_files() -> None:
    readers = {unit.name for state in LAB.states for unit in state.units if unit.reads}
    assert readers <= set(LAB.interrupts)


def test_spares_are_asked_for_balancers_and_control_planes_alone() -> None:
    asked = {machine.name: [check.name for check in LAB.spares(machine.name)] for machine in LAB.topology.machines}
    assert {name for name, checks in asked.items() if checks} == {"lb1", "lb2", "cp1", "cp2", "cp3"}
    assert [check.name for check in LAB.without("gateway")] == ["without-vote:gateway"]
    assert [check.name for check in LAB.without("cp1")] == ["spare-etcd:cp1", "without-etcd:cp1"]
