"""One platform becomes others while clients are served: control planes, balancers, cards; and cut off on its way."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial

import pytest

from tests.lab import host
from tests.lab.conftest import Platform
from tests.lab.test_balancers import BALANCERS, with_the_address
from tests.lab.test_change import plan, requests
from tests.lab.test_come_and_go import members, nodes
from tests.lab.test_platform import outside

pytestmark = [pytest.mark.lab, pytest.mark.long, pytest.mark.timeout(3600)]

PREFIX = "fd00:84:0:1:"
UPLINK = "uplink: {address: 192.0.2.2/24, router: 192.0.2.1, nameservers: [192.0.2.1]}"
OUTSIDE = """
import selectors, socket
names, comers = socket.socket(socket.AF_INET, socket.SOCK_DGRAM), socket.create_server(("192.0.2.1", 80))
names.bind(("192.0.2.1", 53))
ready = selectors.DefaultSelector()
for one in (names, comers):
    ready.register(one, selectors.EVENT_READ)
while True:
    for key, _ in ready.select():
        if key.fileobj is names:
            question, asker = names.recvfrom(512)
            names.sendto(question[:2] + b"\\x81\\x80" + question[4:6] + bytes(6) + question[12:], asker)
        else:
            comer, address = comers.accept()
            with comer:
                comer.sendall(address[0].encode())
"""


@dataclass(frozen=True, slots=True)
class Wanted:
    """What the file says."""

    balancers: int = 1
    control_planes: int = 1
    workers: int = 1
    standby: str = "hot"
    network: str = ""

    @property
    def text(self) -> str:
        return (
            f"name: becoming\nnetwork: {{{self.network}}}\n"
            f"balancers: {{standby: {self.standby}, accept-single-point-of-failure: true}}\n"
            f"machines: {{balancer: {self.balancers}, control-plane: {self.control_planes}, worker: {self.workers}}}\n"
        )


@pytest.fixture(scope="module")
def becoming(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Platform]:
    """The smallest of them, up. `make long` runs these by themselves: alone on the computer."""
    folder = tmp_path_factory.mktemp("becoming")
    here = Platform(folder / "cluster.yaml", folder / "state", host.take())
    here.file.write_text(Wanted().text)
    try:
        here.run("up")
        yield here
    finally:
        here.run("down", "--yes")


def become(platform: Platform, wanted: Wanted) -> None:
    platform.file.write_text(wanted.text)
    platform.run("apply", "--yes")
    platform.nothing_differs()
    assert members(platform) == [f"cp{number + 1}" for number in range(wanted.control_planes)]
    assert all(nodes(platform).values())
    assert len(platform.json("status")["machines"]) == 1 + wanted.balancers + wanted.control_planes + wanted.workers


def test_control_planes_become_three_and_five_and_one_again(becoming: Platform) -> None:
    with requests(becoming) as failures:
        for count in (3, 5, 3, 1):
            become(becoming, Wanted(control_planes=count))
    assert failures == []


def test_a_second_balancer_comes_waits_cold_and_hot_and_goes(becoming: Platform) -> None:
    with requests(becoming) as failures:
        for standby in ("hot", "cold", "hot", "cold", "hot", "cold"):
            become(becoming, Wanted(balancers=2, standby=standby))
            waiting = {"lb1", "lb2"} - {becoming.json("status")["floating_holder"]}
            state = becoming.ssh(waiting.pop(), "systemctl", "is-active", "haproxy.service", check=False).strip()
            assert (state == "active") is (standby == "hot")
        become(becoming, Wanted())
    assert failures == []


def test_it_gets_ipv6_and_a_way_out(becoming: Platform) -> None:
    with requests(becoming) as failures:
        become(becoming, Wanted(network=f'ipv6: "{PREFIX}:/64"'))
        becoming.wait_for(
            "worker1 has an address of the prefix",
            lambda: PREFIX in becoming.ssh("worker1", "ip", "-6", "address", "show", "dev", "lan0"),
        )
        with a_way_out(becoming):
            become(becoming, Wanted(network=f'ipv6: "{PREFIX}:/64", {UPLINK}'))
            asked = becoming.ssh("worker1", "bash", "-c", "exec 3<>/dev/tcp/192.0.2.1/80; cat <&3")
        assert asked.strip() == "192.0.2.2", "machines go out by the gateway's address"
        become(becoming, Wanted(network=f'ipv6: "{PREFIX}:/64"'))
    assert failures == []


@contextmanager
def a_way_out(platform: Platform) -> Iterator[None]:
    """192.0.2.1 on the gateway's outer side, which tells names, and whoever comes by TCP where it comes from."""
    with outside(platform, "192.0.2.1") as space:
        argv = ["nsenter", f"--net=/run/netns/{space}", sys.executable, "-c", OUTSIDE]
        with subprocess.Popen(argv) as answering:
            try:
                yield
            finally:
                answering.terminate()


SECONDS = (0.5, 3, 6, 9, 12)  # after it has begun to change something


def test_an_apply_that_is_killed_anywhere_leaves_what_the_next_one_finishes(becoming: Platform) -> None:
    """It is remembered what was begun, no vote is lost, and no machine is there that nobody knows."""
    network = f'ipv6: "{PREFIX}:/64"'
    for wanted in (Wanted(2, 3, 2, network=network), Wanted(1, 1, 1, network=network)):
        becoming.file.write_text(wanted.text)
        for seconds in SECONDS:
            apply = ("apply", "--yes", "--verbose")  # or a quick look isn't told
            becoming.up_until("platform: look: ok", command=apply, moment=partial(time.sleep, seconds))
            status, document = plan(becoming)
            assert (status, bool(document["edits"])) == (2, True), seconds
            found = becoming.json("status")
            known = {"gateway", "lb1", "lb2", "cp1", "cp2", "cp3", "worker1", "worker2"}
            assert {machine["name"] for machine in found["machines"]} <= known
            there = [*found["machines"], *found["strangers"]]
            on = {machine["name"] for machine in there if machine["power"] == "running"}
            assert len(with_the_address(becoming, sorted(on & set(BALANCERS)))) == 1
            assert "cp1" in members(becoming), seconds
        become(becoming, wanted)
    outcomes = [run["outcome"] for run in becoming.json("history")["runs"]]
    assert outcomes.count("interrupted") == 2 * len(SECONDS)
