"""The machine the agent works on: a root folder, and the runner of its programs."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field

from groundplane.agent.runner import ProgramRunner, Spawner


@dataclass(frozen=True, slots=True)
class LocalMachine:
    """``root`` is empty on a real machine, and a folder in tests. ``pause`` waits some seconds."""

    root: str = ""
    runner: ProgramRunner = field(default_factory=Spawner)
    now: Callable[[], float] = time.time
    monotonic: Callable[[], float] = time.monotonic
    pause: Callable[[float], None] = time.sleep

    def at(self, path: str) -> str:
        """Where a path of the machine lies for us."""
        return self.root + path
