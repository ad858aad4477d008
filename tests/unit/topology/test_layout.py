"""Addresses, cards and order of machines."""

from __future__ import annotations

import re
from ipaddress import IPv4Address
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from groundplane.errors import SpecError
from groundplane.spec import ClusterSpec, load
from groundplane.spec.addressing import lay_out_addresses
from groundplane.spec.cards import made_macs
from groundplane.spec.roles import Role
from groundplane.topology import KeyPair, Secret, Secrets, Topology, Traits, lay_out

PAIR = KeyPair(b"certificate", Secret(b"key"))
SECRETS = Secrets(PAIR, PAIR, PAIR, PAIR, PAIR, PAIR, PAIR, PAIR, Secret(b"c"), Secret(b"p"), Secret(b"e"))
EXAMPLES = Path(__file__).parents[3] / "examples"


def read(text: str) -> ClusterSpec:
    return load(text.encode(), name="cluster.yaml", versions=("1.37.2",))


def laid_out(text: str) -> Topology:
    return lay_out(read(text), SECRETS, Traits())


def addresses(topology: Topology) -> dict[str, str]:
    return {machine.name: str(machine.address) for machine in topology.machines}


def test_the_lab() -> None:
    topology = laid_out((EXAMPLES / "lab.yaml").read_text(encoding="utf-8"))
    assert addresses(topology) == {
        "gateway": "10.80.0.1",
        "lb1": "10.80.0.11",
        "lb2": "10.80.0.12",
        "cp1": "10.80.0.21",
        "cp2": "10.80.0.22",
        "cp3": "10.80.0.23",
        "worker1": "10.80.0.51",
        "worker2": "10.80.0.52",
    }
    lan = topology.lan
    assert (str(lan.gateway), str(lan.floating)) == ("10.80.0.1", "10.80.0.10")
    assert (str(lan.pool_first), str(lan.pool_last)) == ("10.80.0.192", "10.80.0.254")
    assert topology.machine("cp1").fqdn == "cp1.groundplane.internal"
    assert topology.machine("cp1").memory == 3 * 2**30
    assert topology.machine("lb1").memory == 512 * 2**20


def test_the_lab_writes_the_defaults_out() -> None:
    written, default = laid_out((EXAMPLES / "lab.yaml").read_text(encoding="utf-8")), laid_out("name: lab\n")
    assert written.lan == default.lan
    assert [(m.name, m.mac, m.address) for m in written.machines] == [
        (m.name, m.mac, m.address) for m in default.machines
    ]


def test_cards_are_the_same_each_time() -> None:
    # Written down: a platform's machines must keep their cards when groundplane itself is updated.
    assert next(made_macs("lab", "cp1")) == "02:16:39:b1:ae:9f"
    assert next(made_macs("lab", "cp1")) != next(made_macs("other", "cp1"))


def test_a_made_card_gives_way_to_a_stated_one() -> None:
    first, second = (mac for mac, _ in zip(made_macs("lab", "cp1"), range(2), strict=False))
    topology = laid_out(
        f"""
name: lab
machines:
  - {{name: gateway, role: gateway}}
  - {{name: lb1, role: balancer}}
  - {{name: lb2, role: balancer, mac: {first}}}
  - {{name: cp1, role: control-plane}}
"""
    )
    assert topology.machine("lb2").mac == first
    assert topology.machine("cp1").mac == second


LIST = """
name: lab
machines:
  - {name: w, role: worker}
  - {name: cp2, role: control-plane}
  - {name: worker2, role: worker}
  - {name: lb1, role: balancer}
  - {name: x, role: control-plane, address: 10.80.0.51}
  - {name: lb2, role: balancer, address: 10.80.0.12, size: {cpus: 0.5, memory: 1GiB}}
  - {name: cp3, role: control-plane}
  - {name: gw, role: gateway}
"""


def test_explicit_lists_mix_stated_and_default_addresses() -> None:
    topology = laid_out(LIST)
    assert addresses(topology) == {
        "gw": "10.80.0.1",
        "lb1": "10.80.0.11",
        "lb2": "10.80.0.12",
        "cp2": "10.80.0.22",
        "x": "10.80.0.51",
        "cp3": "10.80.0.23",
        "w": "10.80.0.53",
        "worker2": "10.80.0.52",
    }
    assert [machine.name for machine in topology.machines] == ["gw", "lb1", "lb2", "cp2", "x", "cp3", "w", "worker2"]
    assert (topology.machine("lb2").cpus, topology.machine("lb2").memory) == (0.5, 2**30)


def test_machines_keep_their_addresses_when_others_go() -> None:
    before, after = addresses(laid_out(LIST)), addresses(laid_out(LIST.replace("  - {name: w, role: worker}\n", "")))
    assert all(before[name] == address for name, address in after.items())


@pytest.mark.parametrize("prefix", [24, 25, 26, 27])
def test_growing_moves_nobody(prefix: int) -> None:
    text = "name: lab\nnetwork: {{lan: 10.80.0.0/{}}}\nmachines: {{worker: {}}}\n"
    known: dict[str, str] = {}
    for workers in range(0, {24: 170, 25: 80, 26: 35, 27: 14}[prefix], 7):
        now = addresses(laid_out(text.format(prefix, workers)))
        assert {name: now[name] for name in known} == known
        known = now


def test_the_gateway_may_have_another_address() -> None:
    text = "name: lab\nmachines:\n  - {name: g, role: gateway, address: 10.80.0.10}\n"
    topology = laid_out(
        text
        + "  - {name: lb1, role: balancer}\n  - {name: lb2, role: balancer}\n  - {name: cp1, role: control-plane}\n"
    )
    assert str(topology.lan.gateway) == "10.80.0.10"
    assert topology.gateway.address == topology.lan.gateway
    assert topology.lan.floating != topology.lan.gateway


def test_half_a_size_leaves_the_other_half_as_the_role_has_it() -> None:
    topology = laid_out(
        "name: lab\nbalancers: {accept-single-point-of-failure: true}\n"
        "sizes: {worker: {memory: 4GiB}, control-plane: {cpus: 4}}\n"
        "machines:\n- {name: gw, role: gateway}\n- {name: lb, role: balancer}\n- {name: cp, role: control-plane}\n"
        "- {name: w, role: worker}\n- {name: x, role: worker, size: {cpus: 1}}\n"
        "- {name: y, role: worker, size: {memory: 1GiB}}\n"
    )
    sizes = {machine.name: (machine.cpus, machine.memory >> 20) for machine in topology.machines}
    assert sizes == {
        "gw": (1, 512),
        "lb": (1, 512),
        "cp": (4, 3072),
        "w": (2, 4096),
        "x": (1, 4096),
        "y": (2, 1024),
    }


def test_a_full_range_is_an_error_of_the_file() -> None:
    spec = read("name: lab\n")
    small = spec.model_copy(update={"network": spec.network.model_copy(update={"lan": _range("10.0.0.0/29")})})
    with pytest.raises(SpecError, match="too few addresses"):
        lay_out_addresses(small)


def _range(text: str) -> object:
    from ipaddress import IPv4Network

    return IPv4Network(text)


def test_a_thousand_workers() -> None:
    topology = laid_out(
        "name: big\nnetwork: {lan: 10.80.0.0/20}\nkubernetes: {pods: 10.128.0.0/13}\nmachines: {worker: 1000}\n"
    )
    _holds(topology)
    assert str(topology.machine("worker1000").address) == "10.80.4.26"


def _holds(topology: Topology) -> None:
    lan = topology.lan
    taken = [machine.address for machine in topology.machines]
    assert len(set(taken)) == len(taken)
    assert lan.floating not in taken
    for address in (*taken, lan.floating):
        assert address in lan.range
        assert address not in (lan.range.network_address, lan.range.broadcast_address)
        assert not lan.pool_first <= address <= lan.pool_last
    assert lan.pool_first <= lan.pool_last
    assert topology.gateway.address == lan.gateway
    macs = [machine.mac for machine in topology.machines]
    assert len(set(macs)) == len(macs)
    assert all(re.fullmatch(r"[0-9a-f]{2}(:[0-9a-f]{2}){5}", mac) and not int(mac[:2], 16) & 1 for mac in macs)
    order = list(Role)
    places = [order.index(machine.roles[0]) for machine in topology.machines]
    assert places == sorted(places)


@given(
    prefix=st.integers(16, 28),
    control_planes=st.sampled_from([1, 3, 5]),
    workers=st.integers(0, 60),
    floating=st.none() | st.integers(0, 2**16),
    pool=st.none() | st.tuples(st.integers(0, 2**16), st.integers(0, 2**16)),
    stated=st.dictionaries(st.integers(0, 59), st.integers(0, 2**16), max_size=6),
)
@settings(derandomize=True, deadline=None, max_examples=120, suppress_health_check=[HealthCheck.too_slow])
def test_whatever_is_accepted_fits(
    prefix: int,
    control_planes: int,
    workers: int,
    floating: int | None,
    pool: tuple[int, int] | None,
    stated: dict[int, int],
) -> None:
    """A file the rules accept gives every machine an address of its own; the rest is refused, not laid out badly."""
    size = 2 ** (32 - prefix)

    def address(place: int) -> str:
        return str(IPv4Address("172.16.0.0") + place % size)

    lines = ["name: lab", "network:", f"  lan: 172.16.0.0/{prefix}"]
    lines += [f"  floating-address: {address(floating)}"] if floating is not None else []
    if pool is not None:
        first, last = sorted(place % size for place in pool)
        lines.append(f"  dhcp-pool: {{first: {address(first)}, last: {address(last)}}}")
    lines += ["machines:", "  - {name: gateway, role: gateway}"]
    lines += [f"  - {{name: lb{number}, role: balancer}}" for number in (1, 2)]
    lines += [f"  - {{name: cp{number + 1}, role: control-plane}}" for number in range(control_planes)]
    for number in range(workers):
        place = f", address: {address(stated[number])}" if number in stated else ""
        lines.append(f"  - {{name: worker{number + 1}, role: worker{place}}}")
    try:
        topology = laid_out("\n".join(lines))
    except SpecError:
        return
    _holds(topology)
    assert topology == laid_out("\n".join(lines))
