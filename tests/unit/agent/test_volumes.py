"""Logical volumes are made and grown, never shrunk, and nothing on them is ever overwritten."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from groundplane.agent.error import AgentError
from groundplane.agent.machine import LocalMachine
from groundplane.agent.main import work
from groundplane.agent.runner import NOT_FOUND, Ran, Running
from groundplane.state.change import Done, Refused
from groundplane.state.model import MachineState, Volume
from groundplane.state.wire import Event

GIB = 1 << 30


@dataclass
class Lvm:
    """LVM's programs and mkfs: ``volumes`` by name with their sizes, ``holds`` what blkid finds on a device."""

    volumes: dict[str, int] = field(default_factory=dict)
    holds: dict[str, str] = field(default_factory=dict)
    calls: list[tuple[str, ...]] = field(default_factory=list)
    fails: str = ""

    def start(self, argv: Sequence[str], timeout: float = 60, extra: Mapping[str, str] | None = None) -> Running:
        raise AssertionError(f"nobody asks for {argv}")

    def run(self, argv: Sequence[str], timeout: float = 60, extra: Mapping[str, str] | None = None) -> Ran:
        if argv[0] == self.fails:
            return Ran(5, "", 'Volume group "vg" has insufficient free space (0 extents): 25 required.')
        if argv[0] == "lvs":
            names = [(name.partition("/"), size) for name, size in self.volumes.items()]
            rows = [{"vg_name": name[0], "lv_name": name[2], "lv_size": str(size)} for name, size in names]
            return Ran(0, json.dumps({"report": [{"lv": rows}]}))
        if argv[0] == "blkid":
            found = self.holds.get(argv[-1], "")
            return Ran(0 if found else 2, found)
        self.calls.append(tuple(argv))
        return Ran(0)


def brought(root: Path, lvm: Lvm, *volumes: Volume) -> list[Event]:
    """What the agent says when it brings a machine with nothing but ``volumes`` to its state."""
    (root / "etc").mkdir(exist_ok=True)
    (root / "etc/passwd").write_text(f"root:x:{os.geteuid()}:0:root:/root:/bin/sh\n")
    said: list[Event] = []
    work(LocalMachine(str(root), lvm), MachineState("m", volumes=volumes), said.append, alone=True)
    return said


def test_one_that_is_absent_is_made_with_its_file_system(tmp_path: Path) -> None:
    lvm = Lvm()
    brought(tmp_path, lvm, Volume("vg", "data", GIB, "xfs"))
    create, mkfs = lvm.calls
    assert create[0] == "lvcreate"
    assert create[-5:] == ("--size", f"{GIB}b", "--name", "data", "vg")
    assert mkfs == ("mkfs.xfs", "/dev/vg/data")


def test_one_that_was_cut_off_before_its_file_system_gets_it(tmp_path: Path) -> None:
    lvm = Lvm(volumes={"vg/data": GIB})
    brought(tmp_path, lvm, Volume("vg", "data", GIB))
    assert lvm.calls == [("mkfs.ext4", "/dev/vg/data")]


def test_what_lies_on_its_place_is_not_overwritten(tmp_path: Path) -> None:
    lvm = Lvm(holds={"/dev/vg/data": "ext4"})
    said = brought(tmp_path, lvm, Volume("vg", "data", GIB))
    assert [call[0] for call in lvm.calls] == ["lvcreate"]
    assert [event.problem for event in said if isinstance(event, Done)] == ["/dev/vg/data already holds ext4"]


@pytest.mark.parametrize(
    ("filesystem", "path", "grown"),
    [("ext4", None, ("resize2fs", "/dev/vg/data")), ("xfs", None, None)],
)
def test_it_grows_with_what_is_on_it(
    tmp_path: Path, filesystem: str, path: str | None, grown: tuple[str, ...] | None
) -> None:
    lvm = Lvm(volumes={"vg/data": GIB}, holds={"/dev/vg/data": filesystem})
    said = brought(tmp_path, lvm, Volume("vg", "data", 2 * GIB, filesystem, path))
    assert lvm.calls[0] == ("lvextend", "--size", f"{2 * GIB}b", "vg/data")
    if grown:
        assert lvm.calls[1] == grown
    else:
        assert "xfs grows only mounted" in next(event.problem for event in said if isinstance(event, Done))


def test_it_never_shrinks_and_none_is_removed(tmp_path: Path) -> None:
    lvm = Lvm(volumes={"vg/data": 2 * GIB, "vg/other": GIB}, holds={"/dev/vg/data": "ext4"})
    brought(tmp_path, lvm, Volume("vg", "data", GIB))
    assert lvm.calls == []


def test_another_file_system_is_refused(tmp_path: Path) -> None:
    lvm = Lvm(volumes={"vg/data": GIB}, holds={"/dev/vg/data": "btrfs"})
    said = brought(tmp_path, lvm, Volume("vg", "data", GIB))
    (refused,) = [event for event in said if isinstance(event, Refused)]
    assert refused.problem == "/dev/vg/data holds btrfs, not ext4"
    assert lvm.calls == []


def test_a_full_group_says_what_to_do(tmp_path: Path) -> None:
    said = brought(tmp_path, Lvm(fails="lvcreate"), Volume("vg", "data", GIB))
    (done,) = [event for event in said if isinstance(event, Done)]
    assert "vgextend" in done.hint
    assert "insufficient free space" in done.detail


def test_a_machine_without_lvm_says_so(tmp_path: Path) -> None:
    class Bare(Lvm):
        def run(self, argv: Sequence[str], timeout: float = 60, extra: Mapping[str, str] | None = None) -> Ran:
            return Ran(NOT_FOUND)

    with pytest.raises(AgentError, match="no LVM"):
        brought(tmp_path, Bare(), Volume("vg", "data", GIB))
