"""How long clients wait when a balancer dies, is drained, or a control plane dies; and beside it, with keepalived.

    sudo .venv/bin/python benchmarks/failover.py [--runs 5] [--file examples/lab.yaml] [--keepalived-only]

Prints medians; judges nothing. The platform of the file is built in a state folder of the benchmark's own (bundle and
image cached beforehand) and each drill is done as often as asked for. Then two network namespaces with keepalived and a
TLS server take the platform's place: the same prober asks them in the same way, and the active one loses its power in
the same way, cable first. keepalived is installed with apt where it is lacking.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections import defaultdict
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from keepalived_pair import Pair, install

GROUNDPLANE = [sys.executable, "-m", "groundplane"]
DRILLS = ("balancer-crash", "balancer-drain", "control-plane-crash")
FIGURES = ("gap_seconds", "failed_requests", "slow_requests", "detect_seconds", "moved_seconds", "healed_seconds")
ADVERTS = (1.0, 0.2)
"""Seconds between two of keepalived's advertisements: its default, and a quick one."""
Document = dict[str, Any]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--file", type=Path, default=Path("examples/lab.yaml"))
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--keepalived-only", action="store_true", help="leave the platform out")
    arguments = parser.parse_args()
    if shutil.which("keepalived") is None:
        install()
    if not arguments.keepalived_only:
        with tempfile.TemporaryDirectory(prefix="groundplane-bench-") as folder:
            show_drills(drilled(arguments.file, Path(folder), arguments.runs))
    print(f"\n{'keepalived: gap, s':32}{'median':>10}{'lowest':>10}{'highest':>10}")
    for advert in ADVERTS:
        gaps = [asyncio.run(Pair(advert).crash()) for _ in range(arguments.runs)]
        show(f"advert_int {advert:g}", gaps)


def drilled(file: Path, folder: Path, runs: int) -> Mapping[str, list[Document]]:
    """The reports of each drill, on a platform built for them."""
    options = ["--file", str(file), "--state-dir", str(folder / "state")]
    found: dict[str, list[Document]] = defaultdict(list)
    try:
        called("up", *options)
        for number in range(runs):
            for drill in DRILLS:
                print(f"run {number + 1} of {runs}: {drill}", file=sys.stderr)
                # Status 1 says that something did not hold; its figures count all the same.
                found[drill].append(json.loads(called("drill", drill, *options, "--json", well=(0, 1))))
    finally:
        called("down", "--yes", *options)
    return found


def called(*arguments: str, well: Iterable[int] = (0,)) -> str:
    """Run groundplane and return what it wrote; ends the benchmark if it fails."""
    done = subprocess.run(
        [*GROUNDPLANE, *arguments], stdout=subprocess.PIPE, text=True, env={**os.environ, "NO_COLOR": "1"}, check=False
    )
    if done.returncode not in well:
        raise SystemExit(f"groundplane {arguments[0]} ended with status {done.returncode}")
    return done.stdout


def show_drills(found: Mapping[str, list[Document]]) -> None:
    for drill, reports in found.items():
        print(f"\n{drill:32}{'median':>10}{'lowest':>10}{'highest':>10}")
        for figure in FIGURES:
            show(figure, [float(report[figure]) for report in reports if report[figure] is not None])
        print(f"  lost writes {sum(report['lost_writes'] for report in reports)}, ", end="")
        print(f"double address {sum(report['double_address'] for report in reports)}; where the time goes (medians):")
        stages: dict[str, list[float]] = defaultdict(list)
        for report in reports:
            for moment in report["moments"]:
                stages[moment["title"]].append(moment["at"])
        for title, values in sorted(stages.items(), key=lambda item: statistics.median(item[1])):
            print(f"  {statistics.median(values):8.3f}  {title}")


def show(name: str, values: list[float]) -> None:
    if values:
        print(f"{name:32}{statistics.median(values):>10.2f}{min(values):>10.2f}{max(values):>10.2f}")


if __name__ == "__main__":
    main()
