"""A first file is valid whatever it was made for, and keeps clear of this computer's own networks."""

from __future__ import annotations

from ipaddress import IPv4Network

import pytest

from groundplane.software import known_versions
from groundplane.spec import load
from groundplane.spec.addressing import roster
from groundplane.spec.first import First, counts_for, lan_for, name_for, networks_in
from groundplane.spec.model import Counts

LAN = IPv4Network("10.80.0.0/24")


@pytest.mark.parametrize("name", ["lab", "no", "1e5", "1x", "x-1", "null"])
@pytest.mark.parametrize("counts", [(2, 3, 2), (1, 1, 0), (2, 9, 141), (1, 5, 1000)])
def test_the_text_is_a_valid_file_that_says_what_was_asked_for(name: str, counts: tuple[int, int, int]) -> None:
    balancers, control_planes, workers = counts
    lan = lan_for(workers, ())
    assert lan is not None
    first = First(name, lan, known_versions()[0], balancers, control_planes, workers)
    spec = load(first.text().encode(), name="cluster.yaml", versions=known_versions())
    assert (spec.name, spec.network.lan, spec.kubernetes.version) == (name, lan, known_versions()[0])
    assert len(roster(spec)) == 1 + sum(counts)
    assert max(map(len, first.text().splitlines())) <= 120


@pytest.mark.parametrize(
    ("workers", "used", "lan"),
    [
        (2, [], "10.80.0.0/24"),
        (2, ["10.80.0.0/24"], "10.81.0.0/24"),
        (2, ["10.80.0.128/25", "10.81.3.0/24"], "10.81.0.0/24"),
        (2, ["10.0.0.0/8"], "172.31.0.0/24"),
        (2, ["10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/23"], "192.168.2.0/24"),
        (2, ["10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16"], None),
        (2, ["0.0.0.0/1"], "172.31.0.0/24"),
        (500, [], "10.80.0.0/22"),
    ],
)
def test_a_lan_has_no_address_of_this_computers_networks(workers: int, used: list[str], lan: str | None) -> None:
    found = lan_for(workers, [IPv4Network(network) for network in used])
    assert found == (None if lan is None else IPv4Network(lan))


ROUTES = """\
Iface	Destination	Gateway 	Flags	RefCnt	Use	Metric	Mask		MTU	Window	IRTT
eth0	00000000	010200C0	0003	0	0	0	00000000	0	0	0
eth0	000200C0	00000000	0001	0	0	0	00FFFFFF	0	0	0
tun0	0000500A	00000000	0001	0	0	0	0000FCFF	0	0	0
tun0	05000A0A	00000000	0005	0	0	0	FFFFFFFF	0	0	0

"""


def test_networks_are_read_from_the_kernels_table() -> None:
    assert networks_in(ROUTES) == tuple(map(IPv4Network, ("192.0.2.0/24", "10.80.0.0/14", "10.10.0.5/32")))
    assert networks_in("") == ()


def test_what_is_proposed_fits_the_computer() -> None:
    assert counts_for(16 << 30) == Counts()
    small = counts_for(4 << 30)
    assert (small.balancer, small.control_plane, small.worker) == (1, 1, 1)
    assert [name_for(taken) for taken in ([], ["lab"], ["lab", "lab2"], ["lab2", "mine"])] == [
        "lab",
        "lab2",
        "lab3",
        "lab",
    ]
