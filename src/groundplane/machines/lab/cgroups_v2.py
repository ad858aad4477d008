"""Control groups version 2: one hierarchy, where a group with controllers for its children holds no processes itself.

A machine's group therefore has two children: ``outer`` for the process that starts the container, and ``inner`` for
systemd-nspawn, which makes ``supervisor`` and ``payload`` of it for itself and for the container's systemd. The
machine's group carries the limits. See the kernel's Documentation/admin-guide/cgroup-v2.rst.

    groundplane/<lab>/<machine>   the limits
    ├─ outer                      the shells around systemd-nspawn
    └─ inner
       ├─ supervisor              systemd-nspawn
       └─ payload                 what the machine takes for the whole hierarchy
          ├─ init.scope           its systemd
          ├─ system.slice …       its services, and the kubelet's kubepods.slice
          └─ entered              commands run in the machine from outside
"""

from __future__ import annotations

import errno
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from groundplane.machines.base import Size
from groundplane.machines.lab.hierarchy import (
    LAB_WEIGHT,
    OURS,
    PERIOD,
    Limits,
    Usage,
    all_processes,
    allowed,
    own_path,
    read_keyed,
    read_numbers,
    read_words,
    remove_groups,
    remove_if_empty,
    write_switch,
)

CONTROLLERS: Final = ("cpu", "cpuset", "hugetlb", "io", "memory", "pids")
"""What a kubelet wants to see in its own hierarchy; those the host has are handed down."""
WEIGHT: Final = 100  # cpu.weight of a group that asks for none
MANAGER_SCOPE: Final = "init.scope"
"""Where a systemd keeps itself, below the root of what it manages (systemd.special(7))."""
ENTERED: Final = "entered"
RECLAIMABLE: Final = ("active_file", "inactive_file", "slab_reclaimable")
"""Lines of ``memory.stat`` that the kernel gives up before it kills anything."""


@dataclass(frozen=True, slots=True)
class CgroupsV2:
    """``mount``: where the hierarchy is mounted; ``proc`` is /proc but for tests."""

    mount: Path
    proc: Path = Path("/proc")

    @property
    def version(self) -> int:
        return 2

    def create(self, group: str, limits: Limits) -> None:
        folder = self.mount
        _hand_down(folder)
        for part in (OURS, *Path(group).parts):
            folder = folder / part
            folder.mkdir(exist_ok=True)
            _hand_down(folder)
        (folder / "outer").mkdir(exist_ok=True)
        if limits.memory is not None:
            _limit_memory(folder, limits.memory)
        # Without a weight of its own a whole lab counts as much as one of the host's slices, or one process outside.
        for parent in (folder.parent.parent, folder.parent):
            _set(parent / "cpu.weight", str(WEIGHT * LAB_WEIGHT))
        if limits.cpus is not None:
            quota = max(1000, round(limits.cpus * PERIOD))
            _set(folder / "cpu.max", f"{quota} {PERIOD}")
        _set(folder / "cpu.weight", str(WEIGHT * limits.weight))

    def outer(self, group: str) -> tuple[Path, ...]:
        return (self._folder(group) / "outer" / "cgroup.procs",)

    def inner(self, group: str) -> tuple[Path, ...]:
        return (self._folder(group) / "inner" / "cgroup.procs",)

    def managers(self, group: str) -> tuple[int, ...]:
        inner = self._folder(group) / "inner"
        # Where nspawn finds itself alone in its group or under a name it knows, it may stay there.
        places = (inner / "supervisor", inner)
        return tuple(pid for place in places for pid in read_numbers(place / "cgroup.procs"))

    def processes(self, group: str) -> tuple[int, ...]:
        return all_processes(self._folder(group))

    def entrances(self, pid: int) -> tuple[Path, ...]:
        """A systemd's commands go beside it, not to it: it takes the kernel's killing of a process in its own group
        (version 1 tells it of none) for a fault of the machine, and ends whatever else it finds there."""
        path = own_path((self.proc / str(pid) / "cgroup").read_text(encoding="ascii"), "")
        if path is None:
            return ()
        folder = self.mount / path.lstrip("/")
        if folder.name == MANAGER_SCOPE:
            folder = folder.with_name(ENTERED)
            folder.mkdir(exist_ok=True)
        return (folder / "cgroup.procs",)

    def kill(self, group: str) -> None:
        switch = self._folder(group) / "cgroup.kill"
        if switch.exists():
            switch.write_text("1", encoding="ascii")

    def freeze(self, group: str, still: bool) -> bool:
        return write_switch(self._folder(group) / "cgroup.freeze", "1" if still else "0")

    def frozen(self, group: str) -> bool:
        return read_keyed(self._folder(group) / "cgroup.events").get("frozen") == 1

    def remove(self, group: str) -> bool:
        return remove_groups(self._folder(group))

    def remove_ours(self) -> None:
        remove_if_empty(self.mount / OURS)

    def usage(self, group: str) -> Usage:
        folder = self._folder(group)
        memory = read_numbers(folder / "memory.current")
        cache = read_keyed(folder / "memory.stat").get("inactive_file", 0)
        microseconds = read_keyed(folder / "cpu.stat").get("usage_usec", 0)
        return Usage(memory=max(0, memory[0] - cache) if memory else 0, cpu_seconds=microseconds / 1e6)

    def size(self, group: str) -> Size:
        folder = self._folder(group)
        return Size(allowed(read_words(folder / "cpu.max")), allowed(read_words(folder / "memory.max")))

    def groups(self, lab: str) -> tuple[str, ...]:
        folder = self.mount / OURS / lab
        return tuple(sorted(path.name for path in folder.iterdir() if path.is_dir())) if folder.is_dir() else ()

    def _folder(self, group: str) -> Path:
        return self.mount / OURS / group


def _limit_memory(folder: Path, limit: int) -> None:
    """Version 1 refuses a limit below what is in use; version 2 takes it and kills programs until it holds. So what
    couldn't be freed otherwise is looked at first, and the refusal is the same: OSError (EBUSY)."""
    used = read_numbers(folder / "memory.current")
    statistics = read_keyed(folder / "memory.stat")
    held = sum(used) - sum(statistics.get(key, 0) for key in RECLAIMABLE)
    if held > limit:
        raise OSError(errno.EBUSY, f"{held >> 20} MiB of memory are in use, {limit >> 20} are to be the limit", folder)
    (folder / "memory.max").write_text(str(limit), encoding="ascii")


def _set(path: Path, value: str) -> None:
    """Write a value where there is such a file: a controller the kernel refused to hand down brings none, and a
    machine runs without a share of the processors."""
    if path.exists():
        path.write_text(value, encoding="ascii")


def _hand_down(folder: Path) -> None:
    """Let the group's children have the controllers it has itself; one the kernel refuses is left out."""
    available = (folder / "cgroup.controllers").read_text(encoding="ascii").split()
    enabled = (folder / "cgroup.subtree_control").read_text(encoding="ascii").split()
    for controller in CONTROLLERS:
        if controller in available and controller not in enabled:
            try:
                (folder / "cgroup.subtree_control").write_text(f"+{controller}", encoding="ascii")
            except OSError as error:
                if error.errno not in (errno.EBUSY, errno.EINVAL, errno.ENOENT, errno.EOPNOTSUPP):
                    raise
