from __future__ import annotations

from groundplane.machines.lab.names import Names, machine_id, outer_mac, port


def test_machines_of_labs_with_similar_names_are_not_confused() -> None:
    assert Names("a").machine_namespace("b-c") != Names("a-b").machine_namespace("c")
    assert Names("a").machine_of("gp-a.cp1") == "cp1"
    assert Names("a").machine_of("gp-a-b.cp1") is None
    assert Names("a").machine_of("gp-a") is None
    assert Names("a").machine_of("other") is None


def test_links_keep_to_the_kernels_length() -> None:
    assert port("cp1") == "l-cp1"
    assert port("gateway", "wan") == "w-gateway"
    long = [port("a-very-long-machine-name-" + tail) for tail in ("1", "2")]
    assert all(len(name) <= 15 for name in long)
    assert len(set(long)) == 2


def test_containers_keep_to_a_host_names_length() -> None:
    assert Names("demo").container("cp1") == "gp-demo.cp1"
    assert Names("a").container("b-c") != Names("a-b").container("c")
    names = {Names("l" * 63).container("m" * 62 + tail) for tail in "ab"}
    assert len(names) == 2
    assert all(len(name) <= 64 for name in names)


def test_identities_stay_the_same_and_differ() -> None:
    assert machine_id("demo", "cp1") == machine_id("demo", "cp1") != machine_id("demo", "cp2")
    assert len(machine_id("demo", "cp1")) == 32
    first = int(outer_mac("demo", "gateway")[:2], 16)
    assert first & 0b11 == 0b10  # locally administered, not multicast
