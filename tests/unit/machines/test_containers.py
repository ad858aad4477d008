from __future__ import annotations

from pathlib import Path

from groundplane.machines.lab.containers import last_lines
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
