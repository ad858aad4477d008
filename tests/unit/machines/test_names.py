from __future__ import annotations

from pathlib import Path

from groundplane.machines.lab.names import Names, machine_id, mounted, outer_mac, port


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


def test_what_a_mount_on_a_folder_above_has_covered_is_not_mounted() -> None:
    """As `ip netns add` leaves it that finds namespaces in a folder that was none of its own."""
    before = "27 1 254:0 / / rw - ext4 /dev/vda rw\n42 27 0:4 net:[1] /run/netns/gp-demo rw - nsfs nsfs rw\n"
    over = "50 27 254:0 /run/netns /run/netns rw shared:1 - ext4 /dev/vda rw\n"
    copy = "51 50 0:4 net:[1] /run/netns/gp-demo rw shared:2 - nsfs nsfs rw\n"
    path = Path("/run/netns/gp-demo")
    assert mounted(path, before)
    assert mounted(path, before + over + copy)
    assert not mounted(path, before + over)
    assert mounted(Path("/run/netns"), before + over)
    assert not mounted(Path("/run"), before)
