"""Control groups version 1: one hierarchy per controller (or pair), systemd's own, and perhaps an empty version 2.

The machine's group is made in every hierarchy, and its processes sit directly in it: version 1 allows processes in
inner groups. See the kernel's Documentation/admin-guide/cgroup-v1.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
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

SYSTEMD: Final = "name=systemd"
WEIGHT: Final = 1024  # cpu.shares of a group that asks for none
RT_RUNTIME: Final = "cpu.rt_runtime_us"
RT_PERIOD: Final = "cpu.rt_period_us"
REAL_TIME: Final = 15_000
"""Microseconds of each period that a prompt group may run in real time. One that has used them up stands still until
the next period, so a period must be a small part of what the balancers take for a death."""
REAL_TIME_PERIOD: Final = 100_000
UNIFIED: Final = ""
"""The key of the version 2 hierarchy that a hybrid host mounts besides; it has no controllers, but ``cgroup.kill``."""


@dataclass(frozen=True, slots=True)
class CgroupsV1:
    """``mounts``: where each controller's hierarchy is mounted; ``proc`` is /proc but for tests."""

    mounts: Mapping[str, Path]
    proc: Path = Path("/proc")

    @property
    def version(self) -> int:
        return 1

    def create(self, group: str, limits: Limits) -> None:
        for controller, hierarchy in self._hierarchies():
            folder = hierarchy / OURS
            folder.mkdir(exist_ok=True)
            for part in ("", *Path(group).parts):
                folder = folder / part
                folder.mkdir(exist_ok=True)
                if "cpuset" in controller.split(","):
                    _inherit_cpuset(folder)
        if limits.memory is not None and "memory" in self.mounts:
            self._write(group, "memory", "memory.limit_in_bytes", limits.memory)
        if "cpu" in self.mounts:
            self._share_processors(group, limits)

    def _share_processors(self, group: str, limits: Limits) -> None:
        """Bandwidth and weight. Real time is a budget that each group must have of its parent's: all the lab's
        machines ask a part of the lab's, and a host without the budget (RT_GROUP_SCHED) allows it to everybody."""
        folder = self._folder("cpu", group)
        if limits.cpus is not None:
            (folder / "cpu.cfs_period_us").write_text(str(PERIOD), encoding="ascii")
            (folder / "cpu.cfs_quota_us").write_text(str(max(1000, round(limits.cpus * PERIOD))), encoding="ascii")
        # Without a weight of its own a whole lab counts as much as one process outside.
        for parent in (folder.parent.parent, folder.parent):
            (parent / "cpu.shares").write_text(str(WEIGHT * LAB_WEIGHT), encoding="ascii")
        (folder / "cpu.shares").write_text(str(WEIGHT * limits.weight), encoding="ascii")
        if limits.prompt:
            budgets = ((folder.parent.parent, REAL_TIME * 6), (folder.parent, REAL_TIME * 3), (folder, REAL_TIME))
            for path, budget in budgets:
                # With more labs than the budget reaches for, the later ones do without.
                with suppress(OSError):
                    if (path / RT_RUNTIME).exists():
                        (path / RT_PERIOD).write_text(str(REAL_TIME_PERIOD), encoding="ascii")
                        (path / RT_RUNTIME).write_text(str(budget), encoding="ascii")

    def outer(self, group: str) -> tuple[Path, ...]:
        return tuple(hierarchy / OURS / group / "cgroup.procs" for _, hierarchy in self._hierarchies())

    def inner(self, group: str) -> tuple[Path, ...]:
        return ()

    def managers(self, group: str) -> tuple[int, ...]:
        # nspawn moves itself to "supervisor" in systemd's hierarchy.
        folder = self._folder(SYSTEMD, group)
        return (*read_numbers(folder / "supervisor/cgroup.procs"), *read_numbers(folder / "cgroup.procs"))

    def processes(self, group: str) -> tuple[int, ...]:
        found: set[int] = set()
        for controller in (SYSTEMD, UNIFIED, "memory"):
            if controller in self.mounts:
                found.update(all_processes(self._folder(controller, group)))
        return tuple(sorted(found))

    def entrances(self, pid: int) -> tuple[Path, ...]:
        text = (self.proc / str(pid) / "cgroup").read_text(encoding="ascii")
        found = []
        for controller, hierarchy in self._hierarchies():
            path = own_path(text, controller.partition(",")[0])
            if path is not None:
                found.append(hierarchy / path.lstrip("/") / "cgroup.procs")
        return tuple(found)

    def kill(self, group: str) -> None:
        if UNIFIED in self.mounts:
            switch = self._folder(UNIFIED, group) / "cgroup.kill"
            if switch.exists():
                switch.write_text("1", encoding="ascii")

    def freeze(self, group: str, still: bool) -> bool:
        return write_switch(self._folder("freezer", group) / "freezer.state", "FROZEN" if still else "THAWED")

    def frozen(self, group: str) -> bool:
        # While some are still on their way it reads FREEZING.
        state = self._folder("freezer", group) / "freezer.state"
        return state.exists() and state.read_text(encoding="ascii").strip() == "FROZEN"

    def remove(self, group: str) -> bool:
        # Every hierarchy is tried, so that one busy group doesn't keep the others.
        done = [remove_groups(hierarchy / OURS / group) for _, hierarchy in self._hierarchies()]
        return all(done)

    def remove_ours(self) -> None:
        for _, hierarchy in self._hierarchies():
            remove_if_empty(hierarchy / OURS)

    def usage(self, group: str) -> Usage:
        memory = read_numbers(self._folder("memory", group) / "memory.usage_in_bytes")
        cache = read_keyed(self._folder("memory", group) / "memory.stat").get("total_inactive_file", 0)
        nanoseconds = read_numbers(self._folder("cpuacct", group) / "cpuacct.usage")
        return Usage(
            memory=max(0, memory[0] - cache) if memory else 0,
            cpu_seconds=nanoseconds[0] / 1e9 if nanoseconds else 0.0,
        )

    def size(self, group: str) -> Size:
        cpu, memory = self._folder("cpu", group), self._folder("memory", group)
        bandwidth = [*read_words(cpu / "cpu.cfs_quota_us"), *read_words(cpu / "cpu.cfs_period_us")]
        return Size(allowed(bandwidth), allowed(read_words(memory / "memory.limit_in_bytes")))

    def groups(self, lab: str) -> tuple[str, ...]:
        folders = (hierarchy / OURS / lab for _, hierarchy in self._hierarchies())
        return tuple(
            sorted({path.name for folder in folders if folder.is_dir() for path in folder.iterdir() if path.is_dir()})
        )

    def _hierarchies(self) -> tuple[tuple[str, Path], ...]:
        """Each hierarchy once, with its controllers joined by commas: some are mounted together."""
        found: dict[Path, list[str]] = {}
        for controller, mount in self.mounts.items():
            found.setdefault(mount, []).append(controller)
        return tuple((",".join(controllers), mount) for mount, controllers in found.items())

    def _folder(self, controller: str, group: str) -> Path:
        mount = self.mounts.get(controller)
        return mount / OURS / group if mount is not None else Path("/nonexistent")

    def _write(self, group: str, controller: str, name: str, value: int) -> None:
        (self._folder(controller, group) / name).write_text(str(value), encoding="ascii")


def _inherit_cpuset(folder: Path) -> None:
    """A fresh cpuset group has no processors and takes no process before it is given some."""
    for name in ("cpuset.cpus", "cpuset.mems"):
        path = folder / name
        if not path.exists() or not path.read_text(encoding="ascii").strip():
            path.write_text((folder.parent / name).read_text(encoding="ascii"), encoding="ascii")
