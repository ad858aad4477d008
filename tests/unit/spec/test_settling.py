"""Defaults that change: what nobody wrote stays, and that is said."""

from __future__ import annotations

import pytest

from groundplane.spec.model import ClusterSpec, Counts
from groundplane.spec.settling import NewerDefault, settled, written


def spec(**values: object) -> ClusterSpec:
    return ClusterSpec.model_validate({"name": "demo", **values})


def test_what_is_written_is_what_the_file_states() -> None:
    assert written(spec()) == ("name",)
    assert written(spec(network={}, sizes={"worker": {"cpus": 2}})) == ("name", "sizes.worker.cpus")
    assert written(spec(machines=[{"name": "gw", "role": "gateway"}])) == ("machines", "name")


# The platform was built by a groundplane whose defaults were these.
THEN = spec(
    network={"lan": "10.70.0.0/24", "dhcp-pool": {"first": "10.70.0.9", "last": "10.70.0.99"}},
    machines={"worker": 1},
    sizes={"worker": {"memory": "1GiB"}},
    balancers={"standby": "cold"},
)


def test_keys_that_nobody_wrote_keep_what_the_platform_was_built_with() -> None:
    new = spec(sizes={"worker": {"cpus": 4}})
    kept, held = settled(THEN, ("name",), new, written(new))
    assert kept == THEN.model_copy(update={"sizes": kept.sizes})
    assert (kept.sizes.worker.cpus, kept.sizes.worker.memory) == (4, "1GiB")
    assert [(one.path, one.kept, one.newer) for one in held] == [
        ("network.lan", "10.70.0.0/24", "10.80.0.0/24"),
        ("network.dhcp-pool", '{"first":"10.70.0.9","last":"10.70.0.99"}', ""),
        ("balancers.standby", "cold", "hot"),
        ("machines.worker", "1", "2"),
        ("sizes.worker.memory", "1GiB", "3GiB"),
    ]
    assert "stays cold" in str(held[2])
    # What was kept has not become something that its author wrote.
    assert written(kept) == written(new)


WRITE, ANEW = "write it down to have it", "only a platform that is built anew can have it"


@pytest.mark.parametrize(
    ("path", "kept", "newer", "words"),
    [
        ("kubernetes.version", "1.36.2", "1.37.2", ANEW),
        ("network.lan", "10.70.0.0/24", "10.80.0.0/24", ANEW),
        ("network.ipv6", "", "fd00:80::/64", WRITE),
        ("network.ipv6", "fd00:80::/64", "", ANEW),
        ("network.dhcp-pool", "{...}", "", WRITE),
        ("balancers.standby", "cold", "hot", WRITE),
        ("machines.gateway", "1", "2", ANEW),
        ("machines.worker", "1", "2", WRITE),
        ("sizes.worker.memory", "1GiB", "3GiB", WRITE),
    ],
)
def test_how_to_have_a_newer_default_depends_on_the_key(path: str, kept: str, newer: str, words: str) -> None:
    assert str(NewerDefault(path, kept, newer)).endswith(f"; {words}")


@pytest.mark.parametrize(
    ("then", "new", "worker"),
    [
        ((), {}, 1),
        (("machines.worker",), {}, 2),  # taken out of the file: today's default
        ((), {"machines": {"worker": 5}}, 5),
        (("machines.worker",), {"machines": {"worker": 5}}, 5),
        ((), {"machines": {"control-plane": 1}}, 1),
    ],
)
def test_who_writes_or_wrote_a_key_decides(then: tuple[str, ...], new: dict[str, object], worker: int) -> None:
    kept, held = settled(spec(machines={"worker": 1}), then, spec(**new), written(spec(**new)))
    assert isinstance(kept.machines, Counts)
    assert kept.machines.worker == worker
    assert [one.path for one in held] == (["machines.worker"] if worker == 1 else [])


def test_a_list_of_machines_is_written_as_one() -> None:
    machines = [{"name": "gw", "role": "gateway"}]
    kept, held = settled(spec(machines={"worker": 1}), (), spec(machines=machines), ("machines", "name"))
    assert kept == spec(machines=machines)
    assert held == ()
    kept, held = settled(spec(machines=machines), ("machines",), spec(), ("name",))
    assert (kept, held) == (spec(), ())
