"""The control groups of a lab on this computer, in either version of control groups.

Pods come and go meanwhile, and their groups with them: nothing here minds.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from errno import ENODEV, ENOENT
from pathlib import Path

ROOT = Path("/sys/fs/cgroup")
GONE = (ENOENT, ENODEV)
"""How a group's file is refused when the group is no more: to be opened, and to be read once it is open."""


def groups(lab: str, machine: str = "") -> list[Path]:
    """Those of the lab, or of one of its machines: one in each hierarchy of version 1, in the only one of version 2."""
    below = Path("groundplane", lab, machine)
    return [place for hierarchy in (ROOT, *ROOT.iterdir()) if (place := hierarchy / below).is_dir()]


def processes(group: Path) -> Iterator[int]:
    """Those in ``group`` and in the groups below it."""
    for folder, _, _ in os.walk(group):
        try:
            yield from map(int, Path(folder, "cgroup.procs").read_text().split())
        except OSError as error:
            if error.errno not in GONE:
                raise


def named(prefix: str) -> list[str]:
    """Every group of this computer whose name begins so."""
    return [
        os.path.join(folder, name) for folder, names, _ in os.walk(ROOT) for name in names if name.startswith(prefix)
    ]
