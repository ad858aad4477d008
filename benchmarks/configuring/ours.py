"""The work by groundplane: its agent over its SSH transport, as a process of its own like every other tool."""

from __future__ import annotations

import json
import os
import sys
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

from configuring.machines import Lab
from configuring.tools import Call

DRIVER = Path(__file__).parent / "driver.py"


@dataclass(frozen=True, slots=True)
class Groundplane:
    name: str = "groundplane"

    def install(self, cache: Path) -> str:
        return f"groundplane {version('groundplane')}, asyncssh {version('asyncssh')}"

    def render(self, lab: Lab, folder: Path) -> Call:
        targets = {"addresses": lab.addresses, "key": str(lab.key), "known_hosts": str(lab.known_hosts)}
        (folder / "targets.json").write_text(json.dumps(targets))
        path = os.pathsep.join(filter(None, (str(DRIVER.parents[1]), os.environ.get("PYTHONPATH", ""))))
        return Call((sys.executable, str(DRIVER), "targets.json"), {"PYTHONPATH": path})

    def leave(self, folder: Path) -> None:
        """Its connections end with it."""
