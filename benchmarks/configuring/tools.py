"""What the tools have in common: a folder to be called from, a command that brings the machines to the wanted state."""

from __future__ import annotations

import os
import subprocess
import sys
import time
import venv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Protocol

from configuring.machines import Lab

LIMIT: Final = 900.0
"""Seconds a single call may take."""


class Failed(Exception):
    """A tool could not be installed or did not do its work; the words say which and why."""


@dataclass(frozen=True, slots=True)
class Call:
    """How a tool is called, once its folder is written."""

    argv: tuple[str, ...]
    environment: Mapping[str, str] = field(default_factory=dict)


class Tool(Protocol):
    """One contestant."""

    @property
    def name(self) -> str: ...

    def install(self, cache: Path) -> str:
        """Make it ready to be called, from ``cache`` where it is there; return what it is, with versions."""

    def render(self, lab: Lab, folder: Path) -> Call:
        """Write its files into the empty ``folder``; return the call that brings every machine to the wanted state."""

    def leave(self, folder: Path) -> None:
        """End what it left running."""


def seconds(name: str, lab: Lab, call: Call, folder: Path) -> float:
    """Call the tool in the machines' network; its words go to ``<folder>/words``. Failed where it fails."""
    environment = {**os.environ, "LC_ALL": "C.UTF-8", "NO_COLOR": "1", **call.environment}
    words = folder / "words"
    with words.open("wb") as output:
        begin = time.monotonic()
        done = subprocess.run(
            lab.inside(call.argv), cwd=folder, env=environment, stdin=subprocess.DEVNULL,
            stdout=output, stderr=subprocess.STDOUT, timeout=LIMIT, check=False,
        )  # fmt: skip
        taken = time.monotonic() - begin
    if done.returncode != 0:
        last = "\n".join(words.read_text(errors="replace").splitlines()[-30:])
        raise Failed(f"{name} ended with status {done.returncode}\n{last}")
    return taken


def installed(place: Path, packages: Sequence[str]) -> Path:
    """The programs' folder of a virtual environment that holds ``packages``, made where it isn't there."""
    programs = place / "bin"
    done = place / "installed"
    if not done.is_file() or done.read_text().split() != sorted(packages):
        venv.create(place, clear=True, with_pip=True)
        got = subprocess.run([programs / "pip", "install", "--quiet", *packages], check=False)
        if got.returncode != 0:
            raise Failed(f"pip could not install {' '.join(packages)}")
        done.write_text(" ".join(sorted(packages)))
    return programs


def versions(programs: Path, packages: Sequence[str]) -> str:
    """``packages`` with the versions found there."""
    script = "import sys; from importlib.metadata import version as v; print(*(f'{n} {v(n)}' for n in sys.argv[1:]))"
    asked = subprocess.run([programs / "python", "-c", script, *packages], capture_output=True, text=True, check=True)
    return asked.stdout.strip()


def python_version() -> str:
    return f"Python {sys.version_info.major}.{sys.version_info.minor}"
