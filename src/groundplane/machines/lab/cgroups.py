"""Finds out which version of control groups this host has, and gives the one to use."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from groundplane.errors import HostError
from groundplane.image.removal import read_mounts, unescape
from groundplane.machines.lab.cgroups_v1 import SYSTEMD, UNIFIED, CgroupsV1
from groundplane.machines.lab.cgroups_v2 import CgroupsV2
from groundplane.machines.lab.hierarchy import Cgroups

_CONTROLLERS: Final = frozenset(
    (
        "blkio",
        "cpu",
        "cpuacct",
        "cpuset",
        "devices",
        "freezer",
        "hugetlb",
        "memory",
        "misc",
        "net_cls",
        "net_prio",
        "perf_event",
        "pids",
        "rdma",
    )
)
_NEEDED: Final = ("cpu", "memory", SYSTEMD)


def detect(root: Path = Path("/")) -> Cgroups:
    """The host's control groups, from its mount table; HostError where a lab can't live in them.

    Version 2 is taken wherever its hierarchy has what a lab needs, even if something else has mounted a version 1
    controller besides: a controller is in one hierarchy only. ``root`` is another than / in tests, and mount points
    are taken to lie below it.
    """
    v1, v2 = _mounts(read_mounts(root / "proc/self/mountinfo"), root)
    proc = root / "proc"
    available = (v2 / "cgroup.controllers").read_text(encoding="ascii").split() if v2 is not None else []
    lacking = [controller for controller in ("cpu", "memory") if controller not in available]
    if v2 is not None and not lacking:
        return CgroupsV2(v2, proc)
    if any(controller in _CONTROLLERS for controller in v1):
        missing = [controller for controller in _NEEDED if controller not in v1]
        if missing:
            raise HostError(
                f"control groups version 1 are mounted without {', '.join(missing)}",
                where="/sys/fs/cgroup",
                hint="boot with systemd.unified_cgroup_hierarchy=1, or mount the missing hierarchies",
            )
        return CgroupsV1({**v1, UNIFIED: v2} if v2 else v1, proc)
    if v2 is None:
        raise HostError(
            "no control groups are mounted",
            where="/sys/fs/cgroup",
            hint="mount them: mount -t cgroup2 none /sys/fs/cgroup",
        )
    raise HostError(
        f"this kernel's control groups have no controller for {' and '.join(lacking)}",
        where=str(v2),
        hint="enable it on the kernel's command line, as with cgroup_enable=memory",
    )


def _mounts(mountinfo: str, root: Path) -> tuple[dict[str, Path], Path | None]:
    """Version 1 hierarchies by controller, and where version 2 is mounted. The first mount of each counts."""
    v1: dict[str, Path] = {}
    v2: Path | None = None
    for line in mountinfo.splitlines():
        head, _, tail = line.partition(" - ")
        kind, _, options = tail.split(" ", 2)
        point = root / unescape(head.split(" ")[4]).lstrip("/")
        if kind == "cgroup2" and v2 is None:
            v2 = point
        elif kind == "cgroup":
            for option in options.split(","):
                if option in _CONTROLLERS or option == SYSTEMD:
                    v1.setdefault(option, point)
    return v1, v2
