"""An etcd that was killed before it wrote anything."""

from __future__ import annotations

import json
from pathlib import Path

from groundplane.components.cluster import paths
from groundplane.state.step import Reach
from groundplane.topology.model import Machine

_BEGIN_ETCD_ANEW = (Path(__file__).parent / "remote" / "begin_etcd_anew.py").read_text()


async def begins_anew(reach: Reach, machine: Machine) -> bool:
    """Let etcd begin anew where it was killed before it wrote anything: left alone, it never serves."""
    argv = ("python3", "-I", "-c", _BEGIN_ETCD_ANEW)
    answer = await reach.run(machine.name, argv, stdin=json.dumps({"data": paths.ETCD_DATA}).encode(), timeout=90)
    return bool(answer.text)
