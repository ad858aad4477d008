"""The gateway is away for longer than its leases last: machines keep their addresses, and boot with them.

What networkd itself does then is seen in ``tests/golden/test_leases.py``, without a platform.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from math import inf

import pytest

from groundplane.components.dnsmasq.fragment import CONFIG, LEASES
from tests.lab.conftest import Platform

pytestmark = [pytest.mark.lab, pytest.mark.timeout(1800)]

STANDING, BOOTING = "worker1", "worker2"
SHORTEST = 120  # seconds: the shortest lease that dnsmasq gives


@pytest.mark.long
def test_a_machine_keeps_its_address_and_another_boots_with_its_own_while_no_lease_is_to_be_had(
    platform: Platform,
) -> None:
    known = {machine["name"]: machine["address"] for machine in platform.json("status")["machines"]}
    with leases_of_two_minutes(platform):
        for worker in (STANDING, BOOTING):
            platform.ssh(worker, "networkctl", "renew", "lan0")
            platform.wait_for(f"a short lease of {worker}'s", partial(lent, platform, worker, at_most=SHORTEST))
        platform.run("stop", "--force", "gateway")
        try:
            platform.run("stop", "--force", BOOTING)
            time.sleep(SHORTEST + 10)
            assert addresses(platform, STANDING) == {known[STANDING]}
            assert ready(platform, STANDING)
            platform.run("start", BOOTING)
            assert addresses(platform, BOOTING) == {known[BOOTING]}
            platform.wait_for(f"{BOOTING} is ready", lambda: ready(platform, BOOTING))
        finally:
            platform.run("start")
        # Each asks anew every minute or so, and its name comes with what it is given.
        for worker in (STANDING, BOOTING):
            platform.wait_for(f"a lease of {worker}'s", partial(lent, platform, worker), within=180)
        assert addresses(platform, STANDING) == {known[STANDING]}
    platform.run("verify")
    platform.nothing_differs()


@contextmanager
def leases_of_two_minutes(platform: Platform) -> Iterator[None]:
    def lasting(before: str, after: str) -> None:
        script = f"sed -i 's/,{before}$/,{after}/' {CONFIG} && systemctl restart dnsmasq"
        platform.ssh("gateway", "sh", "-c", script)

    lasting("12h", "2m")
    try:
        yield
    finally:
        lasting("2m", "12h")


def lent(platform: Platform, machine: str, *, at_most: float = inf) -> bool:
    """Whether the gateway knows a lease of the machine's, which ends in ``at_most`` so many seconds."""
    lines = (line.split() for line in platform.ssh("gateway", "cat", LEASES).splitlines())
    return any(0 < int(words[0]) - time.time() <= at_most for words in lines if words[3:4] == [machine])


def addresses(platform: Platform, machine: str) -> set[str]:
    """The IPv4 addresses of its card on the LAN."""
    card = platform.ssh(machine, "ip", "-4", "-brief", "address", "show", "dev", "lan0")
    return {word.partition("/")[0] for word in card.split()[2:] if "/" in word}


def ready(platform: Platform, node: str) -> bool:
    return any(line["ready"] for line in platform.json("status")["nodes"] if line["name"] == node)
