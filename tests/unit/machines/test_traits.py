from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from groundplane.machines.lab.traits import traits
from groundplane.topology.model import Traits


@pytest.mark.parametrize(("bounding", "lowers"), [("000001ffffffffff", True), ("000001fffeffffff", False)])
@pytest.mark.parametrize("loops", [True, False])
@pytest.mark.parametrize("version", [1, 2])
def test_traits_are_what_the_host_has(
    make_host: Callable[..., Path], version: int, loops: bool, bounding: str, lowers: bool
) -> None:
    root = make_host(version)
    (root / "proc/self/status").write_text(f"Name:\tpython\nCapBnd:\t{bounding}\n")
    if loops:
        (root / "dev").mkdir(exist_ok=True)
        (root / "dev/loop-control").touch()
    assert traits(root) == Traits(
        cgroup_version=version, own_clock=False, own_kernel=False, own_disk=loops, lowers_oom_score=lowers
    )
