"""What tells a node its size, run on this computer's own kernel. No platform is needed: what it mounts only the test
sees."""

from __future__ import annotations

import os
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from groundplane.components.kubelet import size
from groundplane.state.model import File
from groundplane.topology.model import Topology
from tests.golden.laid_out import cases

pytestmark = pytest.mark.lab

NODES = Path("/sys/devices/system/node")
ALONE = ("unshare", "--mount", "--propagation", "private", "sh", "-c")
SHOWN = "head -1 /proc/meminfo; ls /sys/devices/system/node/node*/"


def script(folder: Path, topology: Topology, name: str) -> Path:
    file = next(file for file in size.resources(topology, topology.machine(name)) if isinstance(file, File))
    path = folder / name
    path.write_bytes(file.content)
    path.chmod(0o755)
    return path


def said(words: str) -> str:
    done = subprocess.run([*ALONE, f"mount -t tmpfs tmpfs /run && {words}"], capture_output=True, text=True, check=True)
    return done.stdout


def test_who_asks_the_kernel_is_told_of_the_machine(tmp_path: Path) -> None:
    lab = cases()["lab"]
    small = replace(lab, machines=tuple(replace(m, memory=2 << 30, cpus=1) for m in lab.machines))
    large, less = script(tmp_path, lab, "cp1"), script(tmp_path, small, "worker1")
    before = said(SHOWN)
    assert said(f"{large} look || true").startswith("/proc/meminfo tells of ")
    told = said(f"{large} tell && {large} look && {SHOWN}").split()
    assert told[:3] == ["MemTotal:", "3145728", "kB"]
    if NODES.is_dir():
        assert told[-3:] == ["cpu0", "cpu1", "meminfo"]
    assert "2097152" in said(f"{large} tell && {less} tell && {less} look && {SHOWN}"), "another size takes its place"
    assert said(f"{large} tell && {large} tell && {large} hide && {SHOWN}") == before
    assert said("head -1 /proc/meminfo").split()[1] == str(
        os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 1024
    )
