from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from groundplane.machines.lab.traits import traits
from groundplane.topology.model import Traits


@pytest.mark.parametrize(("bounding", "lowers"), [("000001ffffffffff", True), ("000001fffeffffff", False)])
@pytest.mark.parametrize("version", [1, 2])
def test_traits_are_what_the_host_has(
    make_host: Callable[..., Path], version: int, bounding: str, lowers: bool
) -> None:
    root = make_host(version)
    (root / "proc/self/status").write_text(f"Name:\tpython\nCapBnd:\t{bounding}\n")
    assert traits(root) == Traits(
        cgroup_version=version, own_clock=False, own_kernel=False, own_disk=False, lowers_oom_score=lowers
    )
