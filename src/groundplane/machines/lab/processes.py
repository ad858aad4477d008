"""Looking at processes through proc(5). A process is its number and its start: numbers are used again."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

PROC: Final = Path("/proc")


@dataclass(frozen=True, slots=True)
class Process:
    """One process; ``start`` is when it began, in clock ticks since the host's boot."""

    pid: int
    start: int


def look(pid: int, *, proc: Path = PROC) -> Process | None:
    """The process of that number, None when it is gone or a zombie."""
    try:
        text = (proc / str(pid) / "stat").read_text(encoding="utf-8", errors="replace")
    except (FileNotFoundError, ProcessLookupError):
        return None
    fields = text.rpartition(")")[2].split()  # the name in parentheses may hold anything
    return None if fields[0] in "ZX" else Process(pid, int(fields[19]))


def alive(process: Process, *, proc: Path = PROC) -> bool:
    return look(process.pid, proc=proc) == process


def command_name(pid: int, *, proc: Path = PROC) -> str:
    """The kernel's short name of the process, empty when it is gone."""
    try:
        return (proc / str(pid) / "comm").read_text(encoding="utf-8", errors="replace").strip()
    except (FileNotFoundError, ProcessLookupError):
        return ""


def children(pid: int, *, proc: Path = PROC) -> tuple[int, ...]:
    """The process's children, in the order they were started; none when it is gone."""
    try:
        text = (proc / str(pid) / "task" / str(pid) / "children").read_text(encoding="utf-8")
    except (FileNotFoundError, ProcessLookupError):
        return ()
    return tuple(int(word) for word in text.split())
