"""How fast a platform is built and how much it takes when idle. Prints medians; judges nothing.

    sudo .venv/bin/python benchmarks/up.py [--runs 3] [--file examples/lab.yaml] [--idle 60]
    sudo .venv/bin/python benchmarks/up.py --cold [--runs 1]

Each run builds the platform of the file from nothing (bundle and image cached beforehand), verifies it, runs
`up` once more on the finished platform, lets it idle, reads what it takes, validates and plans in turns, and removes
it. State lies in a folder of the benchmark's own, so a platform of the user's is not in the way.

With ``--cold`` nothing is cached: the bundle is built from Go modules that have to be downloaded first, with caches
of Go's own, then the base image and the platform. How busy the computer was comes with it, since most of this is
work for processors: seconds of processor time by seconds passed. Minutes, and 6 GiB in the folder for temporary files.
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
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from groundplane.recipes import validate

GROUNDPLANE = [sys.executable, "-m", "groundplane"]
Document = dict[str, Any]

PHASES = (
    ("bundle, image and network", "boot", "started", min),
    ("machines, until the first control plane can begin", "kubeadm-init", "started", min),
    ("first control plane", "kubeadm-init", "finished", max),
    ("joins", "control-plane", "finished", max),
    ("what the cluster needs besides", "verify", "started", min),
    ("checks", "verify", "finished", max),
)
"""Each phase of an `up` lasts until the first or last event of a step (of `verify`: of any check). Work goes on beside
what a phase is called by, such as machines that boot while the first control plane begins."""
REST = "the tool's own start and end"
TURNS = 5
"""How often `validate` and `plan` are run on each platform."""


@dataclass(slots=True)
class Figures:
    """Seconds, bytes and cores, one entry per run."""

    up: list[float] = field(default_factory=list)
    again: list[float] = field(default_factory=list)
    plan: list[float] = field(default_factory=list)
    validate: list[float] = field(default_factory=list)
    plan_by_validate: list[float] = field(default_factory=list)
    render: list[float] = field(default_factory=list)
    tool_memory: list[float] = field(default_factory=list)
    idle_memory: list[float] = field(default_factory=list)
    idle_cores: list[float] = field(default_factory=list)
    phases: dict[str, list[float]] = field(default_factory=dict)
    ended: dict[str, list[float]] = field(default_factory=dict)


@dataclass(slots=True)
class Cold:
    """From nothing: seconds and processors used, one entry per run."""

    bundle: list[float] = field(default_factory=list)
    bundle_processors: list[float] = field(default_factory=list)
    up: list[float] = field(default_factory=list)
    up_processors: list[float] = field(default_factory=list)


@dataclass(slots=True)
class Effort:
    """What a block took: seconds passed, and processor seconds of the programs that were run and have ended."""

    seconds: float = 0.0
    processor: float = 0.0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--file", type=Path, default=Path("examples/lab.yaml"))
    parser.add_argument("--runs", type=int, help="default: 3, or 1 with --cold")
    parser.add_argument("--cold", action="store_true", help="with empty caches: bundle, base image and platform")
    parser.add_argument("--idle", type=float, default=60, help="seconds to watch the idle platform")
    arguments = parser.parse_args()
    runs = arguments.runs or (1 if arguments.cold else 3)
    figures, cold = Figures(), Cold()
    for number in range(runs):
        print(f"run {number + 1} of {runs}", file=sys.stderr)
        with tempfile.TemporaryDirectory(prefix="groundplane-bench-") as folder:
            if arguments.cold:
                cold_run(arguments.file, Path(folder), cold)
            else:
                one_run(arguments.file, Path(folder), arguments.idle, figures)
    print(f"{arguments.file} on {os.cpu_count()} processors, {'empty caches, ' if arguments.cold else ''}runs: {runs}")
    table(cold_rows(cold) if arguments.cold else rows(figures))
    if not arguments.cold:
        show_phases(figures)


def cold_run(file: Path, folder: Path, cold: Cold) -> None:
    """Bundle, base image and platform with nothing cached; append what was measured to ``cold``."""
    options = ["--cache-dir", str(folder / "cache"), "--file", str(file), "--state-dir", str(folder / "state")]
    go = {"GOCACHE": str(folder / "go-build"), "GOMODCACHE": str(folder / "go-modules")}
    with effort() as bundle:
        timed("bundle", "build", validate(file).kubernetes.version,
              "--source", "modules", *options, env=go)  # fmt: skip
    try:
        with effort() as up:
            timed("up", *options)
        # The machines' own work is not the children's: they live on.
        up.processor += processor_seconds(options)
    finally:
        timed("down", "--yes", *options)
    cold.bundle.append(bundle.seconds)
    cold.bundle_processors.append(bundle.processor / bundle.seconds)
    cold.up.append(up.seconds)
    cold.up_processors.append(up.processor / up.seconds)


@contextmanager
def effort() -> Iterator[Effort]:
    """Measure what the block takes."""
    found, begin, before = Effort(), time.monotonic(), resource.getrusage(resource.RUSAGE_CHILDREN)
    yield found
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    found.seconds = time.monotonic() - begin
    found.processor = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def one_run(file: Path, folder: Path, idle: float, figures: Figures) -> None:
    """Build, repeat, idle, remove; append what was measured to ``figures``."""
    options = ["--file", str(file), "--state-dir", str(folder / "state")]
    figures.render.append(timed("render", *options, "--out", str(folder / "rendered")))
    try:
        figures.up.append(timed("up", *options))
        figures.tool_memory.append(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024)
        entries = journal(options)
        for phase, seconds in durations(entries, figures.up[-1]).items():
            figures.phases.setdefault(phase, []).append(seconds)
        for step, seconds in ends(entries).items():
            figures.ended.setdefault(step, []).append(seconds)
        figures.again.append(timed("up", *options))
        before, begin = processor_seconds(options), time.monotonic()
        time.sleep(idle)
        after, end = processor_seconds(options), time.monotonic()
        figures.idle_cores.append((after - before) / (end - begin))
        figures.idle_memory.append(sum(entry["memory_used"] for entry in machines(options)))
        compare(file, options, figures)  # not while the platform is still settling
    finally:
        timed("down", "--yes", *options)


def compare(file: Path, options: Sequence[str], figures: Figures) -> None:
    """Time `validate` and `plan` in turns: how busy the computer is meets both alike."""
    pairs = [(timed("validate", "--file", str(file)), timed("plan", *options)) for _ in range(TURNS)]
    validate, plan = (statistics.median(times) for times in zip(*pairs, strict=True))
    figures.validate.append(validate)
    figures.plan.append(plan)
    figures.plan_by_validate.append(plan / validate)


def timed(*arguments: str, env: Mapping[str, str] | None = None) -> float:
    """Run groundplane and return the seconds it took; ends the benchmark if it fails."""
    begin = time.monotonic()
    subprocess.run(
        [*GROUNDPLANE, *arguments],
        check=True,
        stdout=subprocess.DEVNULL,
        env={**os.environ, "NO_COLOR": "1", **(env or {})},
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


def journal(options: list[str]) -> list[Document]:
    """What happened in the last `up`."""
    last = next(run for run in asked("history", *options)["runs"] if run["command"] == "up")
    entries: list[Document] = asked("history", "show", str(last["id"]), *options)["entries"]
    return entries


def durations(entries: Sequence[Document], total: float) -> dict[str, float]:
    """How long each phase of an `up` lasted that took ``total`` seconds: they follow each other and sum up to it."""
    found, before = {}, 0.0
    for name, step, kind, pick in PHASES:
        times = [
            entry["at"] for entry in entries if step in (entry["step"], entry["subject"]) and entry["kind"] == kind
        ]
        until = max(before, pick(times, default=before))
        found[name], before = until - before, until
    return {**found, REST: total - before}


def ends(entries: Sequence[Document]) -> dict[str, float]:
    """When the last of each kind of step was over, in seconds since the beginning."""
    ended: dict[str, float] = {}
    for entry in entries:
        if entry["kind"] == "finished":
            ended[entry["step"]] = max(ended.get(entry["step"], 0.0), entry["at"])
    return ended


def rows(figures: Figures) -> list[tuple[str, Sequence[float]]]:
    return [
        ("up to a green verify, s", figures.up),
        ("up again, s", figures.again),
        ("plan, nothing differs, s", figures.plan),
        ("validate, s", figures.validate),
        ("plan by validate", figures.plan_by_validate),
        ("render, s", figures.render),
        ("the tool itself, MiB", [value / 2**20 for value in figures.tool_memory]),
        ("idle platform, MiB", [value / 2**20 for value in figures.idle_memory]),
        ("idle platform, cores", figures.idle_cores),
    ]


def cold_rows(cold: Cold) -> list[tuple[str, Sequence[float]]]:
    return [
        ("bundle from Go modules, s", cold.bundle),
        ("  processors used", cold.bundle_processors),
        ("base image and up, s", cold.up),
        ("  processors used", cold.up_processors),
        ("from nothing to a green verify, s", [sum(both) for both in zip(cold.bundle, cold.up, strict=True)]),
    ]


def table(lines: Sequence[tuple[str, Sequence[float]]]) -> None:
    print(f"{'':52}{'median':>10}{'lowest':>10}{'highest':>10}")
    for name, values in lines:
        print(f"{name:52}{statistics.median(values):>10.2f}{min(values):>10.2f}{max(values):>10.2f}")


def show_phases(figures: Figures) -> None:
    """The phases one after the other, then the moments they come from."""
    print("\nwhere the time of `up` goes, s; within a run the phases sum up to the whole")
    table(list(figures.phases.items()))
    print("\nseconds after the beginning at which the last of each step was over (medians)")
    for name, values in sorted(figures.ended.items(), key=lambda item: statistics.median(item[1])):
        print(f"  {statistics.median(values):7.1f}  {name}")


if __name__ == "__main__":
    main()
