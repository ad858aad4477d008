"""A second platform beside the first, with the same LAN: interrupted while it is built, finished, used, removed."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from groundplane.bundle.obtain import cached_bundle
from groundplane.bundle.trees import software_tree
from groundplane.bundle.versions import load_versions
from groundplane.software import DEFAULT_VERSION
from groundplane.store import Home
from tests.lab import cgroups
from tests.lab.conftest import Platform, environment

pytestmark = [pytest.mark.lab, pytest.mark.timeout(1800)]

PREFIX = "fd00:80:0:1:"
# A pair of balancers like the first one's: the same packages, so the same base image, which saves a minute.
SMALL = """\
name: second
network: {ipv6: "fd00:80:0:1::/64"}
machines: {balancer: 2, control-plane: 1, worker: 0}
"""
MACHINES = ("gateway", "lb1", "lb2", "cp1")


@pytest.fixture(scope="module")
def second(platform: Platform, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Platform]:
    """Not built yet."""
    folder = tmp_path_factory.mktemp("second")
    file = folder / "cluster.yaml"
    file.write_text(SMALL)
    here = Platform(file, folder / "state", platform.before)
    try:
        yield here
    finally:
        here.run("down", "--yes")


def test_ctrl_c_stops_in_order_and_up_goes_on(second: Platform) -> None:
    with second.start("up") as running:
        assert running.stdout is not None
        seen = []
        for line in running.stdout:
            seen.append(line)
            if "cp1: kubeadm-init" in line:
                os.killpg(running.pid, signal.SIGINT)  # as a terminal does: to all that runs in it
                break
        seen.append(running.stdout.read())
        status = running.wait(timeout=300)
    said = "".join(seen)
    assert status == 130, said
    assert "stopping; press Ctrl-C again to stop at once" in said
    assert "interrupted: run the same command again to go on" in said
    assert second.json("history")["runs"][0]["outcome"] == "interrupted"
    second.run("up")
    assert second.json("history")["runs"][0]["outcome"] == "done"


def test_both_work_beside_each_other(platform: Platform, second: Platform) -> None:
    for one in (platform, second):
        assert one.json("verify")["ok"]
    addresses = [{machine["name"]: machine["address"] for machine in one.json("status")["machines"]}
                 for one in (platform, second)]  # fmt: skip
    assert {addresses[0][name] for name in MACHINES} == set(addresses[1].values()), "the same LAN"


def test_each_kubeconfig_leads_to_its_own_from_the_host(
    platform: Platform, second: Platform, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("kubeconfigs")
    assert nodes_from_the_host(platform, folder) == {"cp1", "cp2", "cp3", "worker1", "worker2"}
    assert nodes_from_the_host(second, folder) == {"cp1"}
    servers = {
        found
        for one in (platform, second)
        for found in re.findall(r'server: "(https://127\.0\.0\.1:\d+)"', (folder / one.name).read_text())
    }
    assert len(servers) == 2, "a port of its own for each"


def nodes_from_the_host(platform: Platform, folder: Path) -> set[str]:
    """The nodes as the bundle's own kubectl, run on this computer, sees them with the platform's kubeconfig."""
    config = folder / platform.name
    platform.run("kubeconfig", "--out", str(config))
    bundle = cached_bundle(load_versions(DEFAULT_VERSION), Home.find().cache / "bundle")
    assert bundle is not None
    kubectl = software_tree(bundle) / "usr/local/bin/kubectl"
    done = subprocess.run(
        [kubectl, f"--kubeconfig={config}", "--request-timeout=30s", "get", "nodes", "--output=json"],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
        env={"PATH": environment()["PATH"], "HOME": str(folder)},
    )
    assert done.returncode == 0, done.stderr
    return {item["metadata"]["name"] for item in json.loads(done.stdout)["items"]}


def test_machines_have_an_address_of_the_ipv6_prefix_and_find_each_other_by_it(second: Platform) -> None:
    for machine in MACHINES:
        card = second.ssh(machine, "ip", "-6", "-brief", "address", "show", "dev", "lan0")
        assert f" {PREFIX}" in card, f"{machine}: {card}"
    found = second.ssh("cp1", "dig", "+short", "gateway.groundplane.internal", "AAAA").strip()
    assert found.startswith(PREFIX), found
    second.ssh("cp1", "ping", "-c", "1", "-W", "5", found)


def test_removing_one_leaves_the_other(platform: Platform, second: Platform) -> None:
    before = platform.boots()
    second.run("down", "--yes")
    assert [path.name for path in Path("/run/netns").glob("gp-second*")] == []
    assert cgroups.groups("second") == []
    assert platform.boots() == before
    assert platform.json("verify")["ok"]
