"""What the pair of balancers is for: faults that stop neither the machine nor its network, and one that parts the two.

Each test leaves a platform at rest to the next.
"""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from itertools import pairwise
from pathlib import Path

import pytest

from groundplane.components.pacemaker.checks import macs
from groundplane.components.pacemaker.status import ADDRESS_RESOURCE
from tests.lab import cgroups
from tests.lab.conftest import SOON, Platform

pytestmark = [pytest.mark.lab, pytest.mark.timeout(900)]

FLOATING = "10.80.0.10"
BALANCERS = ("lb1", "lb2")
AT_REST = ("pacemaker", "quorum", "quorum-vote", "floating-address", "haproxy-backends", "api-reachable")


def holder(platform: Platform) -> str:
    found: str = platform.json("status")["floating_holder"]
    return found


def other(balancer: str) -> str:
    return next(name for name in BALANCERS if name != balancer)


def with_the_address(platform: Platform, balancers: Sequence[str] = BALANCERS) -> list[str]:
    """Those of ``balancers`` that have the floating address on their card, whether or not they answer for it."""
    return [name for name in balancers if f" {FLOATING}/" in platform.ssh(name, "ip", "-brief", "address")]


def asking(platform: Platform, seconds: int) -> subprocess.Popen[str]:
    """An arping that asks the LAN once a second who has the floating address."""
    return platform.start("ssh", "worker1", "--", "arping", "-b", "-c", str(seconds), "-I", "lan0", FLOATING)


def answers(said: str) -> list[str]:
    """The MAC address in each answer, in order."""
    return re.findall(r"reply from [0-9.]+ \[([0-9A-Fa-f:]+)\]", said)


def test_an_haproxy_that_hangs_loses_the_address(platform: Platform) -> None:
    first = holder(platform)
    platform.ssh(first, "systemctl", "kill", "--kill-whom=all", "--signal=STOP", "haproxy.service")
    # It stays there for ten seconds at least, but asking for the status takes longer while the API hangs.
    arrived = f'until [ -n "$(ip -oneline address show to {FLOATING})" ]; do sleep 0.1; done'
    platform.ssh(other(first), "timeout", str(SOON), "sh", "-c", arrived)
    platform.kubectl("get", "--raw", "/readyz")
    platform.run("verify", *AT_REST)
    state = platform.ssh(first, "systemctl", "show", "--property=ActiveState", "--value", "haproxy.service")
    assert state.strip() == "active", "Pacemaker starts it anew, as a hot standby"
    platform.wait_for(f"{first} has it back, as Pacemaker's leader", lambda: holder(platform) == first)
    began = told(platform, first, "Result of start operation for haproxy ")
    left = told(platform, other(first), f"Result of stop operation for {ADDRESS_RESOURCE} ")
    assert began < left, "HAProxy runs there before the address comes back"


def told(platform: Platform, balancer: str, words: str) -> float:
    """When Pacemaker said this there for the last time, in seconds since 1970."""
    lines = platform.ssh(
        balancer, "journalctl", "--unit=pacemaker", "--output=short-unix", f"--grep={words}", "--lines=1"
    )
    return float(lines.split()[0])


def test_balancers_that_do_not_see_each_other_are_never_both_active(platform: Platform) -> None:
    """Both still see the gateway, whose vote decides between them."""
    with asking(platform, 12) as arping, parted(platform):
        said, _ = arping.communicate(timeout=120)
        platform.wait_for("one alone has the address", lambda: len(with_the_address(platform)) == 1)
        platform.kubectl("get", "--raw", "/readyz")
        [active] = with_the_address(platform)
        passive = platform.ssh(other(active), "corosync-quorumtool", "-s", check=False)
        assert re.search(r"^Quorate:\s+No", passive, re.MULTILINE), passive
    heard = answers(said)
    asked = re.search(r"Sent (\d+) probes", said)
    assert asked is not None, said
    assert 0 < len(heard) <= int(asked[1]), f"two answered one question:\n{said}"
    moves = sum(before != after for before, after in pairwise(heard))
    assert moves <= 1, f"the address went back and forth:\n{said}"
    platform.run("verify", *AT_REST)


@contextmanager
def parted(platform: Platform) -> Iterator[None]:
    """Isolated ports of a bridge reach all others but each other, bridge(8)."""
    lan = f"gp-{platform.name}"

    def isolated(state: str) -> None:
        for name in BALANCERS:
            subprocess.run(["bridge", "-n", lan, "link", "set", "dev", f"l-{name}", "isolated", state], check=True)

    isolated("on")
    try:
        yield
    finally:
        isolated("off")


def test_without_the_third_vote_the_address_stays(platform: Platform) -> None:
    first = holder(platform)
    platform.ssh("gateway", "systemctl", "stop", "corosync-qnetd.service")
    try:
        platform.wait_for("the vote is gone", lambda: "2 of 3 votes" in platform.json("status")["quorum"])
        with asking(platform, 5) as arping:
            said, _ = arping.communicate(timeout=120)
        assert len(macs(said)) == 1, said
        assert with_the_address(platform) == [first]
        assert holder(platform) == first
    finally:
        platform.ssh("gateway", "systemctl", "start", "corosync-qnetd.service")
    platform.run("verify", *AT_REST)


def test_an_etcd_that_stands_still_for_a_moment_costs_nobody_a_connection(platform: Platform) -> None:
    """Two failed checks are two looks at etcd, however many others ask the same API server meanwhile."""
    begun = platform.ssh("lb1", "date", "+%s").strip()
    member = next(member for member in platform.json("status")["etcd"] if not member["leader"])["machine"]
    ask = 'while :; do curl --silent --insecure --output /dev/null --write-out "%{http_code} " --max-time 4 "$1"; done'
    url = f"https://{member}:6443/readyz"
    with platform.start("ssh", "worker1", "--", "timeout", "7", "bash", "-c", ask, "asking", url) as asking:
        assert asking.stdout is not None
        assert asking.stdout.read(4) == "200 "
        # A look gives up after two seconds; all that are asked in the second after it are told the same again.
        platform.ssh(member, "sh", "-c", "pkill -STOP -x etcd; sleep 2.8; pkill -CONT -x etcd")
        answers, _ = asking.communicate(timeout=60)
    assert "500" in answers, "the API server noticed"
    for balancer in BALANCERS:
        said = platform.ssh(balancer, "journalctl", "--unit=haproxy", f"--since=@{begun}", "--output=cat")
        assert "is DOWN" not in said, said


def test_machines_are_held_to_the_memory_of_the_file(platform: Platform) -> None:
    for machine, limit in (("gateway", 1 << 30), ("lb1", 512 << 20), ("worker1", 3 << 30)):
        [file] = [
            file
            for group in cgroups.groups(platform.name, machine)
            for name in ("memory.max", "memory.limit_in_bytes")
            if (file := group / name).is_file()
        ]
        assert int(file.read_text()) == limit, machine
        network = Path(f"/run/netns/gp-{platform.name}.{machine}").stat().st_ino
        held = set(cgroups.processes(file.parent))
        assert held, machine
        free = processes_of(network) - held
        assert not free & processes_of(network), f"{machine}: processes {free} are beyond its limit"


def processes_of(network: int) -> set[int]:
    """The processes in the network namespace with that number."""
    found = set()
    for entry in Path("/proc").iterdir():
        with suppress(OSError):  # it ended while we looked
            if entry.name.isdigit() and (entry / "ns/net").stat().st_ino == network:
                found.add(int(entry.name))
    return found
