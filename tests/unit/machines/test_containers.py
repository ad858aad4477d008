from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from groundplane.errors import ConditionTimeout
from groundplane.machines.base import Size
from groundplane.machines.lab.containers import Containers, last_lines
from groundplane.machines.lab.hierarchy import Limits, Usage
from groundplane.machines.lab.names import Folders, Names
from groundplane.machines.lab.processes import Process, alive, children, command_name, look


def process(proc: Path, pid: int, *, name: str = "sh", state: str = "S", start: int = 5, below: str = "") -> None:
    folder = proc / str(pid)
    (folder / "task" / str(pid)).mkdir(parents=True)
    (folder / "comm").write_text(name + "\n")
    (folder / "task" / str(pid) / "children").write_text(below)
    rest = " ".join(["0"] * 18)
    (folder / "stat").write_text(f"{pid} ({name}) {state} {rest} {start} 0 0\n")


def test_a_process_is_its_number_and_its_start(tmp_path: Path) -> None:
    process(tmp_path, 7, name="a b) (c", start=99)
    assert look(7, proc=tmp_path) == Process(7, 99)
    assert alive(Process(7, 99), proc=tmp_path)
    assert not alive(Process(7, 98), proc=tmp_path)


def test_zombies_and_the_gone_are_none(tmp_path: Path) -> None:
    process(tmp_path, 7, state="Z")
    assert look(7, proc=tmp_path) is None
    assert look(8, proc=tmp_path) is None
    assert command_name(8, proc=tmp_path) == ""
    assert children(8, proc=tmp_path) == ()


def test_children_keep_their_order(tmp_path: Path) -> None:
    process(tmp_path, 7, below="12 9 ")
    assert children(7, proc=tmp_path) == (12, 9)


def test_a_consoles_last_lines(tmp_path: Path) -> None:
    (tmp_path / "console.log").write_bytes(b"\n".join(b"\x1b[0m%d" % number for number in range(50)))
    assert last_lines(tmp_path / "console.log", 2) == "[0m48\n[0m49"
    assert last_lines(tmp_path / "none") == ""


class Group:
    """A machine's control group of two processes, which ends where they are killed and may run."""

    version = 1

    def __init__(self, *, freezer: bool = True) -> None:
        self.freezer = freezer
        self.still = False
        self.pids: tuple[int, ...] = (11, 12)
        self.told: list[str] = []

    def processes(self, group: str) -> tuple[int, ...]:
        assert group == "demo/cp1"
        if "SIGKILL 11" in self.told and not self.still:
            self.pids = ()
        return self.pids

    def freeze(self, group: str, still: bool) -> bool:
        self.told.append("freeze" if still else "thaw")
        self.still = still and self.freezer
        return self.freezer

    def frozen(self, group: str) -> bool:
        return self.still

    def kill(self, group: str) -> None:
        self.told.append("kill")

    def remove(self, group: str) -> bool:
        return not self.pids

    def create(self, group: str, limits: Limits) -> None: ...

    def outer(self, group: str) -> tuple[Path, ...]:
        return ()

    inner = outer

    def managers(self, group: str) -> tuple[int, ...]:
        return ()

    def entrances(self, pid: int) -> tuple[Path, ...]:
        return ()

    def remove_ours(self) -> None: ...

    def usage(self, group: str) -> Usage:
        return Usage()

    def size(self, group: str) -> Size:
        return Size()

    def groups(self, lab: str) -> tuple[str, ...]:
        return ()


def containers(group: Group, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Containers:
    monkeypatch.setattr(os, "kill", lambda pid, number: group.told.append(f"{signal.Signals(number).name} {pid}"))
    return Containers(Names("demo"), Folders(tmp_path), group)


def test_a_frozen_machine_dies_when_it_is_thawed_and_does_nothing_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    group = Group()
    group.still = True
    asyncio.run(containers(group, tmp_path, monkeypatch).kill("cp1"))
    assert group.told == ["kill", "SIGKILL 11", "SIGKILL 12", "thaw"]


def test_freezing_waits_until_all_stand_still(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    group = Group()
    here = containers(group, tmp_path, monkeypatch)
    asyncio.run(here.freeze("cp1"))
    here.thaw("cp1")
    assert group.told == ["freeze", "thaw"]


def test_what_does_not_stand_still_in_time_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, virtual_time: Callable[..., Any]
) -> None:
    group = Group()
    monkeypatch.setattr(Group, "frozen", lambda *_: False)
    with pytest.raises(ConditionTimeout, match="stand still"):
        virtual_time(containers(group, tmp_path, monkeypatch).freeze("cp1"))


def test_without_a_freezer_every_process_is_stopped_and_let_go_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    group = Group(freezer=False)
    here = containers(group, tmp_path, monkeypatch)
    asyncio.run(here.freeze("cp1"))
    here.thaw("cp1")
    assert group.told == ["freeze", "SIGSTOP 11", "SIGSTOP 12", "thaw", "SIGCONT 11", "SIGCONT 12"]
