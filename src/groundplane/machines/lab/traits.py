"""What a lab's ground allows, looked up on this host."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from groundplane.machines.lab.cgroups import detect
from groundplane.machines.lab.rootfs import LOOP_CONTROL
from groundplane.topology.model import Traits

_CAP_SYS_RESOURCE: Final = 24  # include/uapi/linux/capability.h


def traits(root: Path = Path("/")) -> Traits:
    """The traits of machines of a lab on this host; HostError where control groups are missing."""
    return Traits(
        cgroup_version=detect(root).version,
        own_clock=False,
        own_kernel=False,
        own_disk=(root / LOOP_CONTROL.relative_to("/")).exists(),
        lowers_oom_score=_may_lower_oom_score((root / "proc/self/status").read_text(encoding="utf-8")),
    )


def _may_lower_oom_score(status: str) -> bool:
    """Whether processes here can be given CAP_SYS_RESOURCE, without which oom_score_adj only goes up (proc(5))."""
    for line in status.splitlines():
        if line.startswith("CapBnd:"):
            return bool(int(line.split()[1], 16) >> _CAP_SYS_RESOURCE & 1)
    return False
