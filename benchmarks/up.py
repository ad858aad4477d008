"""How fast a platform is built and how much it takes when idle. Prints medians; judges nothing.

    sudo .venv/bin/python benchmarks/up.py [--runs 3] [--file examples/lab.yaml] [--idle 60]

Each run builds the platform of the file from nothing (bundle and image cached beforehand), verifies it, runs
`up` once more on the finished platform, lets it idle, reads what it takes, and removes it. State lies in a
folder of the benchmark's own, so a platform of the user's is not in the way.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

GROUNDPLANE = [sys.executable, "-m", "groundplane"]
Document = dict[str, Any]


@dataclass(slots=True)
class Figures:
    """Seconds, bytes and cores, one entry per run."""

    up: list[float] = field(default_factory=list)
    again: list[float] = field(default_factory=list)
    validate: list[float] = field(default_factory=list)
    render: list[float] = field(default_factory=list)
    tool_memory: list[float] = field(default_factory=list)
    idle_memory: list[float] = field(default_factory=list)
    idle_cores: list[float] = field(default_factory=list)
    phases: dict[str, list[float]] = field(default_factory=dict)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--file", type=Path, default=Path("examples/lab.yaml"))
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--idle", type=float, default=60, help="seconds to watch the idle platform")
    arguments = parser.parse_args()
    figures = Figures()
    for number in range(arguments.runs):
        print(f"run {number + 1} of {arguments.runs}", file=sys.stderr)
        with tempfile.TemporaryDirectory(prefix="groundplane-bench-") as folder:
            one_run(arguments.file, Path(folder), arguments.idle, figures)
    show(figures)


def one_run(file: Path, folder: Path, idle: float, figures: Figures) -> None:
    """Build, repeat, idle, remove; append what was measured to ``figures``."""
    options = ["--file", str(file), "--state-dir", str(folder / "state")]
    figures.validate.append(timed("validate", "--file", str(file)))
    figures.render.append(timed("render", *options, "--out", str(folder / "rendered")))
    try:
        figures.up.append(timed("up", *options))
        figures.tool_memory.append(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024)
        for phase, seconds in phases(options).items():
            figures.phases.setdefault(phase, []).append(seconds)
        figures.again.append(timed("up", *options))
        before, begin = processor_seconds(options), time.monotonic()
        time.sleep(idle)
        after, end = processor_seconds(options), time.monotonic()
        figures.idle_cores.append((after - before) / (end - begin))
        figures.idle_memory.append(sum(entry["memory_used"] for entry in machines(options)))
    finally:
        timed("down", "--yes", *options)


def timed(*arguments: str) -> float:
    """Run groundplane and return the seconds it took; ends the benchmark if it fails."""
    begin = time.monotonic()
    subprocess.run(
        [*GROUNDPLANE, *arguments], check=True, stdout=subprocess.DEVNULL, env={**os.environ, "NO_COLOR": "1"}
    )
    return time.monotonic() - begin


def asked(*arguments: str) -> Document:
    """Run a reading command with --json and return its document."""
    output = subprocess.run([*GROUNDPLANE, *arguments, "--json"], check=True, stdout=subprocess.PIPE).stdout
    document: Document = json.loads(output)
    return document


def machines(options: list[str]) -> list[Document]:
    entries: list[Document] = asked("status", *options)["machines"]
    return entries


def processor_seconds(options: list[str]) -> float:
    return float(sum(entry["cpu_seconds"] for entry in machines(options)))


def phases(options: list[str]) -> dict[str, float]:
    """When each kind of step of the last `up` was over, in seconds since its beginning."""
    ended: dict[str, float] = {}
    last = next(run for run in asked("history", *options)["runs"] if run["command"] == "up")
    for entry in asked("history", "show", str(last["id"]), *options)["entries"]:
        if entry["kind"] == "finished":
            step = str(entry["step"])
            ended[step] = max(ended.get(step, 0.0), entry["at"])
    return ended


def show(figures: Figures) -> None:
    rows = [
        ("up to a green verify, s", figures.up),
        ("up again, s", figures.again),
        ("validate, s", figures.validate),
        ("render, s", figures.render),
        ("the tool itself, MiB", [value / 2**20 for value in figures.tool_memory]),
        ("idle platform, MiB", [value / 2**20 for value in figures.idle_memory]),
        ("idle platform, cores", figures.idle_cores),
    ]
    print(f"{'':32}{'median':>10}{'lowest':>10}{'highest':>10}")
    for name, values in rows:
        print(f"{name:32}{statistics.median(values):>10.2f}{min(values):>10.2f}{max(values):>10.2f}")
    print("\nwhere the time goes: seconds after the beginning at which the last of each step was over (medians)")
    for name, values in sorted(figures.phases.items(), key=lambda item: statistics.median(item[1])):
        print(f"  {statistics.median(values):7.1f}  {name}")


if __name__ == "__main__":
    main()
