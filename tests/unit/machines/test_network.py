from __future__ import annotations

import asyncio
import errno
import json
import os
from collections.abc import Callable, Sequence
from ipaddress import IPv4Address
from pathlib import Path

import pytest

from groundplane.errors import MachineError
from groundplane.machines.lab import network as network_module
from groundplane.machines.lab.names import Names, bridge_mac, mounted
from groundplane.machines.lab.network import (
    Cabling,
    LabNetwork,
    Link,
    bridge_commands,
    cable_commands,
    cards,
    operator_address,
    parse_links,
)
from groundplane.topology.model import Topology

MakeTopology = Callable[..., Topology]
OPERATOR = IPv4Address("10.80.0.191")
LAN_MAC, WAN_MAC = (bridge_mac("demo", bridge) for bridge in ("lan", "wan"))


def test_the_operator_sits_just_below_the_strangers_pool(make_topology: MakeTopology) -> None:
    assert operator_address(make_topology()) == OPERATOR


def test_the_operator_takes_the_last_address_where_the_pool_is_elsewhere(make_topology: MakeTopology) -> None:
    topology = make_topology(pool=("10.80.0.100", "10.80.0.120"))
    assert operator_address(topology) == IPv4Address("10.80.0.254")


def test_the_operator_avoids_machines(make_topology: MakeTopology) -> None:
    topology = make_topology(lan="10.80.0.0/29", pool=("10.80.0.6", "10.80.0.6"))
    assert operator_address(topology) == IPv4Address("10.80.0.5")


def test_a_full_range_is_said_to_be_full(make_topology: MakeTopology) -> None:
    with pytest.raises(MachineError, match="no address"):
        operator_address(make_topology(lan="10.80.0.0/29", pool=("10.80.0.5", "10.80.0.6")))


def test_only_the_gateway_has_an_outer_card(make_topology: MakeTopology) -> None:
    topology = make_topology()
    assert [card.name for card in cards(topology, topology.gateway)] == ["lan0", "wan0"]
    assert [(card.name, card.mac) for card in cards(topology, topology.machine("cp1"))] == [
        ("lan0", "02:00:00:00:01:01")
    ]


def test_bridges_are_made_once_and_nothing_is_done_where_they_stand(make_topology: MakeTopology) -> None:
    topology = make_topology()
    assert bridge_commands(topology, {}) == (
        "link set lo up",
        f"link add lan address {LAN_MAC} type bridge stp_state 0 forward_delay 0 mcast_snooping 0",
        "link set lan up",
        f"link add wan address {WAN_MAC} type bridge stp_state 0 forward_delay 0 mcast_snooping 0",
        "link set wan up",
        "address add 10.80.0.191/24 dev lan",
    )
    standing = {
        "lo": Link("lo", "", (), "", True),
        "lan": Link("lan", LAN_MAC, ("10.80.0.191/24",), "", True),
        "wan": Link("wan", WAN_MAC, (), "", True),
    }
    assert bridge_commands(topology, standing) == ()


def test_a_bridge_keeps_its_own_mac_whatever_is_plugged_into_it(make_topology: MakeTopology) -> None:
    assert LAN_MAC != WAN_MAC
    standing = {
        "lo": Link("lo", "", (), "", True),
        "lan": Link("lan", "26:82:fb:d1:10:ee", ("10.80.0.191/24",), "", True),
        "wan": Link("wan", WAN_MAC, (), "", True),
    }
    assert bridge_commands(make_topology(), standing) == (f"link set lan address {LAN_MAC}",)


def test_an_operator_that_moved_leaves_its_old_address(make_topology: MakeTopology) -> None:
    standing = {
        "lo": Link("lo", "", (), "", True),
        "lan": Link("lan", LAN_MAC, ("10.80.0.7/24",), "", True),
        "wan": Link("wan", WAN_MAC, (), "", True),
    }
    assert bridge_commands(make_topology(), standing) == (
        "address del 10.80.0.7/24 dev lan",
        "address add 10.80.0.191/24 dev lan",
    )


def test_a_missing_cable_is_plugged_in(make_topology: MakeTopology) -> None:
    topology = make_topology()
    plugged = cards(topology, topology.machine("cp1"))
    assert cable_commands(Names("demo"), "cp1", plugged, {}, {}).outside == (
        "link add l-cp1 type veth peer name lan0 address 02:00:00:00:01:01 netns gp-demo.cp1",
        "link set l-cp1 master lan up",
    )


@pytest.mark.parametrize(
    ("end", "line"),
    [
        (Link("l-cp1", "", (), "lan", False), "link set l-cp1 up"),
        (Link("l-cp1", "", (), "", True), "link set l-cp1 master lan"),
        (Link("l-cp1", "", (), "lan", True, isolated=True), "link set l-cp1 type bridge_slave isolated off"),
    ],
)
def test_a_cable_that_was_cut_is_mended(make_topology: MakeTopology, end: Link, line: str) -> None:
    topology = make_topology()
    plugged = cards(topology, topology.machine("cp1"))
    inside = {"lan0": Link("lan0", "02:00:00:00:01:01", (), "", True)}
    assert cable_commands(Names("demo"), "cp1", plugged, inside, {"l-cp1": end}) == Cabling((), (line,))


def test_a_cable_that_is_well_is_left_alone(make_topology: MakeTopology) -> None:
    topology = make_topology()
    plugged = cards(topology, topology.machine("cp1"))
    inside = {"lan0": Link("lan0", "02:00:00:00:01:01", (), "", True)}
    outside = {"l-cp1": Link("l-cp1", "", (), "lan", True)}
    assert cable_commands(Names("demo"), "cp1", plugged, inside, outside) == Cabling((), ())


class Bridged:
    """A lab's namespace that stands, with these ports on its bridge; what ip(8) was told is in ``told``."""

    def __init__(self, topology: Topology, folder: Path, monkeypatch: pytest.MonkeyPatch, **ports: object) -> None:
        self.told: list[str] = []
        self._ports = ports
        monkeypatch.setattr(network_module, "mounted", lambda path, _: path == folder / "gp-demo")
        monkeypatch.setattr(network_module, "read_mounts", lambda: "")
        self.network = LabNetwork(topology, runner=self._run, folder=folder)

    async def _run(self, argv: Sequence[str], *, stdin: str = "") -> str:
        if "-batch" in argv:
            assert argv[1].endswith("/gp-demo")
            self.told += stdin.splitlines()
            return ""
        return json.dumps([{"ifname": name.replace("_", "-"), **entry} for name, entry in self._ports.items()])  # type: ignore[dict-item]


def isolated(master: str = "lan") -> dict[str, object]:
    return {"flags": ["UP"], "master": master, "linkinfo": {"info_slave_data": {"isolated": True}}}


def test_a_machine_falls_silent_at_once(
    make_topology: MakeTopology, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    up, down = {"flags": ["UP"], "master": "lan"}, {"flags": [], "master": "wan"}
    lab = Bridged(make_topology(), tmp_path, monkeypatch, l_gateway=up, w_gateway=down, l_cp1=up)
    asyncio.run(lab.network.silence("gateway"))
    assert lab.told == ["link set l-gateway down"]


def test_a_cut_leaves_the_carrier_and_mending_undoes_it(
    make_topology: MakeTopology, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = {"flags": ["UP"], "master": "lan"}
    lab = Bridged(make_topology(), tmp_path, monkeypatch, l_cp1=isolated(), l_cp2={"flags": ["UP"]}, l_gateway=whole)

    async def main() -> None:
        await lab.network.cut("cp1", "cp2")
        await lab.network.cut("cp2")
        await lab.network.mend()

    asyncio.run(main())
    assert lab.told == [
        "link set l-cp1 type bridge_slave isolated on",
        "link set l-cp2 type bridge_slave isolated on",
        "link set l-cp2 nomaster",
        "link set l-cp1 type bridge_slave isolated off",
        "link set l-cp2 master lan",
    ]


def test_without_a_lab_there_is_nothing_to_silence_or_mend(
    make_topology: MakeTopology, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lab = Bridged(make_topology(), tmp_path, monkeypatch)
    monkeypatch.setattr(network_module, "mounted", lambda *_: False)

    async def main() -> None:
        await lab.network.silence("gateway")
        await lab.network.mend()

    asyncio.run(main())
    assert lab.told == []


def test_a_card_with_another_mac_is_replaced(make_topology: MakeTopology) -> None:
    topology = make_topology()
    plugged = cards(topology, topology.machine("cp1"))
    inside = {"lan0": Link("lan0", "02:ff:ff:ff:ff:ff", (), "", True)}
    outside = {"l-cp1": Link("l-cp1", "", (), "lan", True)}
    assert cable_commands(Names("demo"), "cp1", plugged, inside, outside).outside[0] == "link del l-cp1"


def test_a_card_left_over_from_a_lost_network_is_pulled_first(make_topology: MakeTopology) -> None:
    topology = make_topology()
    plugged = cards(topology, topology.machine("cp1"))
    inside = {"lan0": Link("lan0", "02:00:00:00:01:01", (), "", True)}
    cabling = cable_commands(Names("demo"), "cp1", plugged, inside, {})
    assert cabling.inside == ("link del lan0",)
    assert len(cabling.outside) == 2


def test_links_are_read_from_iproutes_json() -> None:
    text = json.dumps(
        [
            {"ifname": "lo", "flags": ["LOOPBACK", "UP"], "addr_info": []},
            {},
            {
                "ifname": "lan",
                "flags": ["UP"],
                "address": "02:00:00:00:00:09",
                "addr_info": [
                    {"family": "inet", "local": "10.80.0.191", "prefixlen": 24},
                    {"family": "inet6", "local": "fe80::1", "prefixlen": 64},
                ],
            },
            {
                "ifname": "l-cp1",
                "flags": [],
                "master": "lan",
                "linkinfo": {"info_slave_kind": "bridge", "info_slave_data": {"isolated": True}},
            },
        ]
    )
    links = parse_links(text)
    assert links["lan"] == Link("lan", "02:00:00:00:00:09", ("10.80.0.191/24",), "", True)
    assert (links["l-cp1"].master, links["l-cp1"].up, links["l-cp1"].isolated) == ("lan", False, True)
    assert not links["lan"].isolated
    assert parse_links("") == {}


def test_the_hosts_own_network_is_never_named(make_topology: MakeTopology, tmp_path: Path) -> None:
    topology = make_topology()
    asked: list[tuple[str, ...]] = []

    async def runner(argv: Sequence[str], *, stdin: str = "") -> str:
        asked.append(tuple(argv))
        return ""

    async def build() -> None:
        network = LabNetwork(topology, runner=runner, folder=tmp_path)
        await network.prepare()
        assert await network.plug(topology.gateway)

    asyncio.run(build())
    inside = (("nsenter", f"--net={tmp_path}/gp-demo"), ("nsenter", f"--net={tmp_path}/gp-demo.gateway"))
    assert all(argv[:2] in inside or argv[0] in ("unshare", "mount") for argv in asked)


def test_a_machine_is_unplugged_before_its_namespace_goes(
    make_topology: MakeTopology, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The kernel removes a namespace some time after the last name of it has gone, and cables only with it."""
    mounts = {tmp_path / "gp-demo", tmp_path / "gp-demo.cp1"}
    done: list[str] = []

    async def runner(argv: Sequence[str], *, stdin: str = "") -> str:
        if argv[0] == "umount":
            done.append(f"umount {argv[1]}")
            mounts.discard(Path(argv[1]))
            return ""
        if stdin:
            done.append(stdin.strip())
            return ""
        return json.dumps([{"ifname": name, "flags": ["UP"]} for name in ("lan", "wan", "l-cp1", "l-cp2")])

    monkeypatch.setattr(network_module, "mounted", lambda path, mountinfo: path in mounts)
    asyncio.run(LabNetwork(make_topology(), runner=runner, folder=tmp_path).unplug("cp1"))
    assert done == ["link del l-cp1", f"umount {tmp_path}/gp-demo.cp1"]


def test_namespaces_of_machines_the_topology_forgot_are_found(make_topology: MakeTopology, tmp_path: Path) -> None:
    for name in ("gp-demo", "gp-demo.old", "gp-demo.cp1", "gp-demo-two.cp1", "mine"):
        (tmp_path / name).touch()

    async def runner(argv: Sequence[str], *, stdin: str = "") -> str:
        raise AssertionError(argv)

    network = LabNetwork(make_topology(), runner=runner, folder=tmp_path)
    assert network.machines() == ("cp1", "old")
    asyncio.run(network.remove())
    assert sorted(path.name for path in tmp_path.iterdir()) == ["gp-demo-two.cp1", "mine"]


class Table:
    """A computer's mounts as mount(8), umount(8), unshare(1) and ip-netns(8) change them; nothing propagates."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.mounts: list[tuple[int, int, Path]] = []  # number, the number below, place

    def text(self) -> str:
        return "\n".join(f"{own} {below} 0:1 / {place} rw" for own, below, place in self.mounts)

    def lay(self, place: Path) -> None:
        over = [own for own, _, point in self.mounts if point == self.folder]
        below = over[-1] if over and place != self.folder else 1
        self.mounts.append((len(self.mounts) + 100, below, place))

    def ip_netns_add(self, name: str) -> None:
        if not any(point == self.folder for _, _, point in self.mounts):
            self.lay(self.folder)
        (self.folder / name).touch()
        self.lay(self.folder / name)

    async def run(self, argv: Sequence[str], *, stdin: str = "") -> str:
        match argv:
            case ("mount", "--bind", _, place):
                self.lay(Path(place))
            case ("umount", place):
                found = [mount for mount in self.mounts if mount[2] == Path(place) and mounted(mount[2], self.text())]
                self.mounts.remove(found[-1])
            case ("unshare", net, "true"):
                self.lay(Path(net.removeprefix("--net=")))
        return ""

    def unlink(self, path: Path) -> None:
        if not path.exists():
            return
        if any(point == path for _, _, point in self.mounts):  # also one that is covered
            raise OSError(errno.EBUSY, os.strerror(errno.EBUSY), str(path))
        os.unlink(path)

    def network(self, topology: Topology, monkeypatch: pytest.MonkeyPatch) -> LabNetwork:
        monkeypatch.setattr(network_module, "read_mounts", self.text)
        monkeypatch.setattr(Path, "unlink", lambda path, missing_ok=False: self.unlink(path))
        return LabNetwork(topology, runner=self.run, folder=self.folder)


def test_ip_netns_beside_a_lab_covers_nothing_of_it(
    make_topology: MakeTopology, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    table = Table(tmp_path)
    topology = make_topology()
    network = table.network(topology, monkeypatch)

    async def main() -> None:
        await network.prepare()
        table.ip_netns_add("theirs")
        await network.plug(topology.gateway)
        await network.remove()

    asyncio.run(main())
    assert [path.name for path in tmp_path.iterdir()] == ["theirs"]
    assert mounted(tmp_path / "theirs", table.text())


@pytest.mark.parametrize("theirs", [False, True])
def test_what_is_covered_all_the_same_is_looked_through(
    theirs: bool, make_topology: MakeTopology, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As a lab that an older groundplane built, whose folder was none of its own."""
    table = Table(tmp_path)
    network = table.network(make_topology(), monkeypatch)
    for name in ("gp-demo", "gp-demo.cp1"):
        (tmp_path / name).touch()
        table.lay(tmp_path / name)
    table.ip_netns_add("theirs")
    if theirs:
        with pytest.raises(MachineError) as told:
            asyncio.run(network.remove())
        assert "theirs" in told.value.hint
    asyncio.run(table.run(("umount", str(tmp_path / "theirs"))))
    (tmp_path / "theirs").unlink()
    asyncio.run(network.remove())
    assert not list(tmp_path.iterdir())
    assert table.mounts == []


def test_a_namespace_out_of_reach_keeps_no_lab_from_going(
    make_topology: MakeTopology, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(number: int) -> Callable[[Path, bool], None]:
        def unlink(path: Path, missing_ok: bool = False) -> None:
            raise OSError(number, os.strerror(number), str(path))

        return unlink

    network = LabNetwork(make_topology(), folder=tmp_path)
    monkeypatch.setattr(Path, "unlink", refuse(errno.EBUSY))
    asyncio.run(network.remove())
    monkeypatch.setattr(Path, "unlink", refuse(errno.EROFS))
    with pytest.raises(OSError, match="Read-only"):
        asyncio.run(network.remove())
