"""The platform broken on purpose, by the tool itself."""

from __future__ import annotations

import json
import os
import shutil
import signal
import time
from contextlib import suppress
from pathlib import Path

import pytest

from groundplane.machines.lab.rootfs import LOOP_CONTROL
from tests.lab import cgroups
from tests.lab.conftest import Platform

pytestmark = [pytest.mark.lab, pytest.mark.timeout(1800)]


def test_the_balancer_with_the_floating_address_dies(platform: Platform, tmp_path: Path) -> None:
    holder = platform.json("status")["floating_holder"]
    page = tmp_path / "report.html"
    done = platform.run("drill", "balancer-crash", "--json", "--html", str(page), check=False)
    report = json.loads(done.stdout)
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
    assert any("membership" in line["text"] for line in report["journal"])
    assert all(check["ok"] for check in report["checks"])
    assert "<svg" in page.read_text()
    last = platform.json("history")["runs"][0]
    assert (last["command"], last["outcome"]) == ("drill balancer-crash", "done" if report["ok"] else "failed")
    assert platform.kubectl("get", "namespace", "groundplane-drill", "--ignore-not-found").strip() == ""


def test_what_would_harm_this_computer_is_refused(platform: Platform) -> None:
    refused = platform.run("drill", "clock-jump", check=False)
    assert refused.returncode == 1
    assert "clock of its own" in refused.stderr


@pytest.mark.skipif(not LOOP_CONTROL.exists(), reason="etcd has a disk of its own only where there are loop devices")
def test_a_full_disk_of_one_control_plane_keeps_nobody_waiting(platform: Platform) -> None:
    before = shutil.disk_usage(platform.state).free
    report = json.loads(platform.run("drill", "disk-full", "--json", check=False).stdout)
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
    assert not left_over("ask_server.py")
    assert not left_over("ask_lan.py")


def frozen(machine: str) -> bool:
    """Whether the machine's control group stands still, in either version of control groups."""
    for group in cgroups.groups("labtest", machine):
        for name, words in (("freezer.state", "FROZEN"), ("cgroup.events", "frozen 1")):
            if (group / name).is_file() and words in (group / name).read_text():
                return True
    return False


def left_over(program: str) -> list[str]:
    """Processes of ours that still run this program."""
    found = []
    for process in Path("/proc").glob("[0-9]*/cmdline"):
        with suppress(OSError):
            if f"drill/remote/{program}".encode() in process.read_bytes():
                found.append(process.parent.name)
    return found
