"""What a machine does beyond having its files: undone behind our back, seen by `plan`, brought back by `apply`."""

from __future__ import annotations

import pytest

from tests.lab.conftest import Platform
from tests.lab.test_balancers import AT_REST, holder, other
from tests.lab.test_change import changes_of, plan

pytestmark = [pytest.mark.lab, pytest.mark.timeout(900)]

AGENT = "/usr/lib/ocf/resource.d/groundplane/haproxy"


def test_a_resource_agent_that_can_not_run_is_put_right_with_what_it_let_fail(platform: Platform) -> None:
    first = holder(platform)
    platform.ssh(first, "chmod", "0644", AGENT)
    platform.ssh(first, "systemctl", "kill", "--kill-whom=all", "--signal=KILL", "haproxy.service")
    platform.wait_for(f"{other(first)} has the address", lambda: holder(platform) == other(first))
    platform.wait_for("its HAProxy is given up", lambda: failed(platform)[first] == ["haproxy.service"])
    assert not platform.json("status")["ok"]
    status, document = plan(platform)
    assert status == 2
    found = changes_of(document)
    assert (first, "file", AGENT, "update") in found
    assert (first, "unit", "haproxy.service") in {change[:3] for change in found}
    platform.run("apply", "--yes")
    assert failed(platform)[first] == []
    assert platform.ssh(first, "systemctl", "is-active", "haproxy.service").strip() == "active"
    platform.wait_for(f"{first} has it back, as Pacemaker's leader", lambda: holder(platform) == first)
    platform.run("verify", *AT_REST)
    assert platform.json("status")["ok"]
    platform.nothing_differs()


def test_two_faults_at_once_are_mended_though_each_keeps_checks_from_holding(platform: Platform) -> None:
    """Pods of cp1 reach nobody until cp1's own turn comes; worker2, renamed, comes before it."""
    for machine in ("gateway", "cp1"):
        platform.ssh(machine, "nft", "flush", "ruleset")
    platform.ssh("worker2", "hostname", "somebody-else")
    platform.ssh("worker1", "systemctl", "stop", "chrony")
    status, document = plan(platform)
    assert status == 2
    found = {change[:3] for change in changes_of(document)}
    assert {
        ("gateway", "unit", "nftables.service"),
        ("worker1", "unit", "chrony.service"),
        ("worker2", "host-name", "worker2"),
    } <= found
    assert "flannel-rules:cp1" in {step["name"] for step in document["steps"]}
    platform.run("apply", "--yes")
    assert platform.ssh("worker2", "hostname").strip() == "worker2"
    platform.run("verify")
    platform.nothing_differs()


def failed(platform: Platform) -> dict[str, list[str]]:
    """The units that failed, by machine."""
    return {machine["name"]: machine["failed"] for machine in platform.json("status")["machines"]}
