"""How two files differ, and what of it a platform that stands can't follow."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from groundplane.errors import FileChanged
from groundplane.spec import ClusterSpec, Edit, edits
from groundplane.spec.addressing import lay_out_addresses, roster
from groundplane.spec.cards import lay_out_cards, made_macs
from groundplane.spec.edits import refuse
from groundplane.spec.transitions import Transition

steady = settings(derandomize=True, deadline=None, max_examples=60, suppress_health_check=[HealthCheck.too_slow])


def spec(machines: object = None, **values: object) -> ClusterSpec:
    return ClusterSpec.model_validate({"name": "demo", **({"machines": machines} if machines else {}), **values})


def entry(name: str, **values: object) -> dict[str, object]:
    roles = {"gateway": "gateway", "lb": "balancer", "cp": "control-plane"}
    return {"name": name, "role": roles.get(name.rstrip("0123456789"), "worker"), **values}


def listed(*names: str, **values: dict[str, object]) -> list[dict[str, object]]:
    """The default platform's machines, with those of ``names`` as workers; ``values`` by machine."""
    all_names = ("gateway", "lb1", "lb2", "cp1", "cp2", "cp3", *names)
    return [entry(name, **values.get(name, {})) for name in all_names]


def told(old: ClusterSpec, new: ClusterSpec) -> list[tuple[str, str]]:
    return [(str(edit), edit.transition.value) for edit in edits(old, new)]


def test_the_same_machines_in_another_form_are_no_change() -> None:
    counts = spec({"worker": 2})
    as_list = spec(listed("worker1", "worker2"))
    other_order = spec(list(reversed(listed("worker1", "worker2"))))
    with_defaults = spec(
        listed("worker1", "worker2", worker1={"address": "10.80.0.51", "mac": next(made_macs("demo", "worker1"))}),
        network={"floating-address": "10.80.0.10", "dhcp-pool": {"first": "10.80.0.192", "last": "10.80.0.254"}},
    )
    for one in (counts, as_list, other_order, with_defaults):
        for other in (counts, as_list, other_order, with_defaults):
            assert edits(one, other) == ()


UPLINK = {"address": "192.0.2.2/24", "router": "192.0.2.1", "nameservers": ["192.0.2.3", "192.0.2.4"]}


@pytest.mark.parametrize(
    ("new", "expected"),
    [
        (
            spec({"worker": 4, "control-plane": 1, "balancer": 1}),
            [
                ("machines.worker3: (nothing) → worker", "machines added"),
                ("machines.worker4: (nothing) → worker", "machines added"),
                ("machines.lb2: balancer → (nothing)", "machines removed"),
                ("machines.cp2: control-plane → (nothing)", "machines removed"),
                ("machines.cp3: control-plane → (nothing)", "machines removed"),
            ],
        ),
        (spec(listed("worker2")), [("machines.worker1: worker → (nothing)", "machines removed")]),
        (
            spec(listed("worker1", "worker2", cp1={"size": {"memory": "4GiB"}}), sizes={"worker": {"cpus": 4}}),
            [
                ("sizes.worker.cpus: 2 → 4", "live"),
                ("machines.cp1.size.memory: (nothing) → 4GiB", "live"),
            ],
        ),
        (
            spec(network={"dhcp-pool": {"first": "10.80.0.100", "last": "10.80.0.254"}, "ipv6": "fd00:80::/64"}),
            [
                ("network.dhcp-pool.first: 10.80.0.192 → 10.80.0.100", "live"),
                ("network.ipv6: (nothing) → fd00:80::/64", "rolling"),
            ],
        ),
        (
            spec(network={"uplink": UPLINK}),
            [
                ("network.uplink.address: (nothing) → 192.0.2.2/24", "rolling"),
                ("network.uplink.router: (nothing) → 192.0.2.1", "rolling"),
                ("network.uplink.nameservers: (nothing) → 192.0.2.3, 192.0.2.4", "live"),
            ],
        ),
        (
            spec(balancers={"standby": "cold", "accept-single-point-of-failure": True}, image={"release": "bookworm"}),
            [
                ("image.release: trixie → bookworm", "rebuilt one by one"),
                ("balancers.standby: hot → cold", "rolling"),
                ("balancers.accept-single-point-of-failure: false → true", "live"),
            ],
        ),
        # All addresses follow from the range, and the platform's name goes into every card: one edit each.
        (spec(network={"lan": "10.99.0.0/24"}), [("network.lan: 10.80.0.0/24 → 10.99.0.0/24", "never")]),
        (ClusterSpec(name="other"), [("name: demo → other", "never")]),
    ],
)
def test_what_differs_from_the_default_platform(new: ClusterSpec, expected: list[tuple[str, str]]) -> None:
    assert told(spec(), new) == expected


@pytest.mark.parametrize(
    ("old", "new", "path", "remedy"),
    [
        (
            spec(listed("worker1")),
            spec([*listed(), entry("worker1", address="10.80.0.60")]),
            "machines.worker1.address",
            "state `address: 10.80.0.51`",
        ),
        # Nothing but its turn gave storage its address, which now is the new machine's.
        (
            spec(listed("storage")),
            spec(listed("worker1", "storage")),
            "machines.storage.address",
            "state `address: 10.80.0.51`",
        ),
        (
            spec(),
            spec([*listed("worker1"), entry("worker2", address="10.80.0.10")]),
            "network.floating-address",
            "state `floating-address: 10.80.0.10`",
        ),
        # Somebody else's card is the one that cp1 had got.
        (
            spec(),
            spec([*listed("worker1", "worker2"), entry("worker3", mac=next(made_macs("demo", "cp1")))]),
            "machines.cp1.mac",
            f"state `mac: {next(made_macs('demo', 'cp1'))}`",
        ),
        (spec(), spec(listed("worker1", cp3={"role": "worker"})), "machines.cp3.role", "give the machine another name"),
        (spec(), spec([entry("gw", role="gateway"), *listed()[1:]]), "machines.gateway", "leave the gateway"),
        (spec(), spec(kubernetes={"version": "1.36.2"}), "kubernetes.version", "keep `version: 1.37.2`"),
    ],
)
def test_what_a_platform_can_not_become_is_told_with_a_remedy(
    old: ClusterSpec, new: ClusterSpec, path: str, remedy: str
) -> None:
    found = {edit.path: edit for edit in edits(old, new)}
    assert found[path].transition is Transition.NEVER
    assert found[path].effect
    assert remedy in found[path].instead
    with pytest.raises(FileChanged) as caught:
        refuse(found.values(), "demo")
    assert caught.value.where == "demo"
    assert str(found[path]) in caught.value.detail
    assert remedy in caught.value.detail


def test_all_refusals_come_at_once_each_reason_told_once() -> None:
    new = spec({"worker": 3}, network={"domain": "other.internal"}, kubernetes={"pods": "10.64.0.0/16"})
    refused = [*edits(spec(), new), Edit("image.release", "a", "b", Transition.NEVER, "because", "write a")]
    refused.append(Edit("image.mirror", "c", "d", Transition.NEVER, "because", "write a"))
    live = Edit("sizes.worker.cpus", "2", "4", Transition.LIVE, "taken up")
    with pytest.raises(FileChanged) as caught:
        refuse((*refused, live), "demo")
    lines = caught.value.detail.splitlines()
    assert lines[-4:] == ["image.release: a → b", "image.mirror: c → d", "    because", "    → write a"]
    assert [line.partition(":")[0] for line in lines if not line.startswith(" ")] == [
        "network.domain",
        "kubernetes.pods",
        "image.release",
        "image.mirror",
    ]
    refuse((live,), "demo")


numbered = st.fixed_dictionaries(
    {
        "cp": st.sets(st.integers(1, 30), min_size=1, max_size=9),
        "lb": st.sets(st.integers(1, 10), min_size=1, max_size=2),
        "worker": st.sets(st.integers(1, 140), max_size=20),
    }
)


def numbered_spec(numbers: dict[str, set[int]]) -> ClusterSpec:
    return spec([entry("gateway"), *(entry(f"{role}{one}") for role in numbers for one in sorted(numbers[role]))])


def places(of: ClusterSpec) -> dict[str, tuple[str, str]]:
    laid_out = zip(roster(of), lay_out_addresses(of).machines, lay_out_cards(of), strict=True)
    return {machine.name: (str(address), mac) for machine, address, mac in laid_out}


@given(numbered, numbered)
@steady
def test_numbered_machines_stay_where_they_are_when_others_come_and_go(
    old: dict[str, set[int]], new: dict[str, set[int]]
) -> None:
    before, after = numbered_spec(old), numbered_spec(new)
    stay = places(before).keys() & places(after).keys()
    assert {name: places(before)[name] for name in stay} == {name: places(after)[name] for name in stay}
    assert {edit.path for edit in edits(before, after)} == {
        f"machines.{name}" for name in places(before).keys() ^ places(after).keys()
    }


workers = st.sets(st.sampled_from(["worker1", "worker2", "worker3", "anna", "bert", "cleo", "dora"]), max_size=7)


@given(workers, workers, st.sampled_from(["10.80.0.0/24", "10.80.0.0/26", "10.80.0.0/27"]))
@steady
def test_whoever_would_move_is_told_and_stays_where_that_is_stated(old: set[str], new: set[str], lan: str) -> None:
    before, after = (spec(listed(*sorted(names)), network={"lan": lan}) for names in (old, new))
    was, becomes = places(before), places(after)
    moved = {name for name in was.keys() & becomes.keys() if was[name] != becomes[name]}
    found = [edit for edit in edits(before, after) if edit.transition is Transition.NEVER]
    assert {edit.path for edit in found} == {f"machines.{name}.address" for name in moved}
    stated: dict[str, dict[str, object]] = {name: {"address": was[name][0]} for name in was}
    stays = spec(listed(*sorted(new), **stated), network={"lan": lan})
    assert not [edit for edit in edits(before, stays) if edit.transition is Transition.NEVER]
