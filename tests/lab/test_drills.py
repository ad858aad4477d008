"""The platform broken on purpose, by the tool itself."""

from __future__ import annotations

import json
import os
import shutil
import signal
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from groundplane.machines.lab.rootfs import LOOP_CONTROL
from tests.lab import cgroups
from tests.lab.conftest import Platform

pytestmark = [pytest.mark.lab, pytest.mark.timeout(1800)]


def test_the_balancer_with_the_floating_address_dies(platform: Platform, tmp_path: Path) -> None:
    holder = platform.json("status")["floating_holder"]
    page = tmp_path / "report.html"
    report = drilled(platform, "balancer-crash", "--html", str(page))
    assert report["schema"] == "groundplane/drill/v1"
    assert report["acts"] == [f"{holder}: power cut", f"then: switch {holder} on"]
    assert report["double_address"] is False
    assert report["lost_writes"] == 0
    assert report["acknowledged_writes"] > 20
    assert report["questions"] > 100
    assert report["healed_seconds"] is not None
    assert 0.3 < report["gap_seconds"] < 5, "a balancer that dies is noticed, and soon"
    assert report["moved_seconds"] is not None
    other = "lb2" if holder == "lb1" else "lb1"
    assert report["holders"][-1]["machine"] == other
    assert [(use["use"], len(use["nodes"])) for use in report["from_pods"]] == [("Service", 3), ("DNS", 3)]
    assert all(use["requests"] > 60 for use in report["from_pods"])
    assert all((use["failing_seconds"] or 0) < 2 for use in report["from_pods"]), "pods don't come by a balancer"
    assert any("membership" in line["text"] for line in report["journal"])
    assert all(check["ok"] for check in report["checks"])
    assert "<svg" in page.read_text()
    last = platform.json("history")["runs"][0]
    assert (last["command"], last["outcome"]) == ("drill balancer-crash", "done" if report["ok"] else "failed")
    assert platform.kubectl("get", "namespace", "groundplane-drill", "--ignore-not-found").strip() == ""


def test_pods_notice_a_worker_that_dies_and_not_for_long(platform: Platform) -> None:
    servers = json.loads(platform.kubectl("-n", "kube-system", "get", "pods", "-l", "k8s-app=kube-dns", "-o", "json"))
    crashed = any(pod["spec"]["nodeName"] == "worker1" for pod in servers["items"])
    report = drilled(platform, "worker-crash")
    service, dns = report["from_pods"]
    assert "worker1" not in {*service["nodes"], *dns["nodes"]}, "its own pods can't tell anybody"
    assert service["failed_requests"] == 0, "the API isn't on it"
    if crashed:
        assert dns["failed_requests"], "a share of the names was asked of a CoreDNS that is gone"
    assert (dns["failing_seconds"] or 0) < 25, "Kubernetes' own values take 40 to 60 seconds"
    assert report["healed_seconds"] is not None


@pytest.mark.long
def test_a_machine_that_is_gone_for_good_is_made_anew(platform: Platform) -> None:
    report = drilled(platform, "machine-lost-gateway")
    assert report["acts"] == ["gateway: gone for good, with its disk", "then: make gateway anew"]
    assert report["lost_writes"] == 0
    assert report["acknowledged_writes"] > 100
    assert report["healed_seconds"] is not None
    assert all(check["ok"] for check in report["checks"])
    platform.nothing_differs()


@pytest.mark.long
def test_who_is_asked_to_stop_while_a_machine_is_gone_makes_it_anew_first(platform: Platform) -> None:
    leader = platform.json("status")["etcd_leader"]
    with platform.start("drill", "machine-lost-control-plane") as drill:
        assert drill.stdout is not None
        seen = []
        for line in drill.stdout:
            seen.append(line)
            if "wait until clients are served" in line:  # it is gone
                break
        else:
            platform.fail(f"the drill ended too early:\n{''.join(seen)}")
        os.kill(drill.pid, signal.SIGINT)
        seen += drill.stdout.readlines()
    assert drill.returncode != 0
    assert any(f"make {leader} anew" in line for line in seen), "".join(seen)
    status = platform.json("status")
    assert sorted(member["machine"] for member in status["etcd"]) == ["cp1", "cp2", "cp3"]
    platform.run("verify")
    platform.nothing_differs()


@pytest.mark.long
def test_machines_come_and_go_under_clients(platform: Platform) -> None:
    report = drilled(platform, "scale")
    assert report["acts"][-1] == "then: take away what was added"
    found = {finding["title"]: finding for finding in report["findings"]}
    assert found["the nodes that were added are ready"]["seen"] == "there are cp4, worker3, worker4"
    assert report["lost_writes"] == 0
    assert report["failures"] == []
    assert all(check["ok"] for check in report["checks"])
    platform.nothing_differs()
    assert {"cp4", "worker3", "worker4"}.isdisjoint(machine["name"] for machine in platform.json("status")["machines"])


def test_what_would_harm_this_computer_is_refused(platform: Platform) -> None:
    refused = platform.run("drill", "clock-jump", check=False)
    assert refused.returncode == 1
    assert "clock of its own" in refused.stderr


@pytest.mark.long
@pytest.mark.skipif(not LOOP_CONTROL.exists(), reason="etcd has a disk of its own only where there are loop devices")
def test_a_full_disk_of_one_control_plane_keeps_nobody_waiting(platform: Platform) -> None:
    before = shutil.disk_usage(platform.state).free
    report = drilled(platform, "disk-full")
    assert report["lost_writes"] == 0
    assert not report["double_address"]
    assert report["healed_seconds"] is not None
    assert all(check["ok"] for check in report["checks"])
    assert before - shutil.disk_usage(platform.state).free < 2 << 30, "it was the machine's disk, not this computer's"
    assert platform.ssh("cp1", "ls", "/var/lib/etcd").split() == ["member"]


def test_what_a_killed_drill_left_broken_is_mended(platform: Platform) -> None:
    holder = platform.json("status")["floating_holder"]
    with platform.start("drill", "balancer-hang") as drill:
        deadline = time.monotonic() + 120
        while not frozen(holder):
            assert drill.poll() is None, drill.stdout.read() if drill.stdout else ""
            assert time.monotonic() < deadline, "the drill never froze it"
            time.sleep(0.05)
        os.killpg(drill.pid, signal.SIGKILL)
    assert frozen(holder)
    platform.run("start")
    assert not frozen(holder)
    platform.run("verify")
    assert not left_over("drill/remote/ask_server.py")
    assert not left_over("drill/remote/ask_lan.py")
    assert not left_over("Asks the API or a DNS server"), "in a pod's network it has no file"


def drilled(platform: Platform, *words: str) -> Any:
    """The report of a drill, whatever it found; where it could not be done, that is told."""
    done = platform.run("drill", *words, "--json", check=False)
    if not done.stdout:
        platform.fail(f"drill {words[0]} ended with {done.returncode}\n{done.stderr}")
    return json.loads(done.stdout)


def frozen(machine: str) -> bool:
    """Whether the machine's control group stands still, in either version of control groups."""
    for group in cgroups.groups("labtest", machine):
        for name, words in (("freezer.state", "FROZEN"), ("cgroup.events", "frozen 1")):
            if (group / name).is_file() and words in (group / name).read_text():
                return True
    return False


def left_over(words: str) -> list[str]:
    """Processes that still run a program of ours, which these words are about."""
    found = []
    for process in Path("/proc").glob("[0-9]*/cmdline"):
        with suppress(OSError):
            if words.encode() in process.read_bytes():
                found.append(process.parent.name)
    return found
