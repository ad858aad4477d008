from __future__ import annotations

import asyncio
import os
from collections.abc import Sequence
from pathlib import Path

import pytest

from groundplane.errors import HostError, MachineError
from groundplane.machines.lab import host
from groundplane.machines.lab.bridging import SWITCHES, filter_bridges


class Kernel:
    """Loads the filter as a kernel does: with its switches on."""

    def __init__(self, root: Path) -> None:
        self.folder = root / "proc/sys/net/bridge"
        self.asked: list[tuple[str, ...]] = []

    async def __call__(self, argv: Sequence[str], *, stdin: str = "") -> str:
        self.asked.append(tuple(argv))
        self.folder.mkdir(parents=True)
        for switch in SWITCHES:
            (self.folder / switch).write_text("1")
        return ""


def test_the_filter_is_loaded_once_and_leaves_this_computers_bridges_alone(tmp_path: Path) -> None:
    kernel = Kernel(tmp_path)
    asyncio.run(filter_bridges(runner=kernel, root=tmp_path))
    asyncio.run(filter_bridges(runner=kernel, root=tmp_path))
    assert kernel.asked == [("modprobe", "br_netfilter")]
    assert [(kernel.folder / switch).read_text() for switch in SWITCHES] == ["0", "0", "0"]


def test_a_filter_that_is_there_keeps_its_switches(tmp_path: Path) -> None:
    kernel = Kernel(tmp_path)
    asyncio.run(kernel(("somebody else",)))
    asyncio.run(filter_bridges(runner=kernel, root=tmp_path))
    assert kernel.asked == [("somebody else",)]
    assert [(kernel.folder / switch).read_text() for switch in SWITCHES] == ["1", "1", "1"]


def test_a_kernel_without_the_filter_is_refused(tmp_path: Path) -> None:
    async def refuse(argv: Sequence[str], *, stdin: str = "") -> str:
        raise MachineError("modprobe ended with status 1", detail="Module br_netfilter not found")

    with pytest.raises(HostError, match="br_netfilter") as caught:
        asyncio.run(filter_bridges(runner=refuse, root=tmp_path))
    assert caught.value.detail == "Module br_netfilter not found"


def test_doctor_tells_whether_the_filter_is_there_or_can_be(tmp_path: Path) -> None:
    missing = host.bridge_filter(tmp_path)
    assert (missing.fine, missing.seen, missing.remedy) == (False, "not in this kernel", "modprobe br_netfilter")
    module = tmp_path / "lib/modules" / os.uname().release / "kernel/net/bridge/br_netfilter.ko.xz"
    module.parent.mkdir(parents=True)
    module.touch()
    assert (host.bridge_filter(tmp_path).fine, host.bridge_filter(tmp_path).seen) == (True, "a lab loads it")
    asyncio.run(Kernel(tmp_path)(()))
    assert (host.bridge_filter(tmp_path).fine, host.bridge_filter(tmp_path).seen) == (True, "present")
