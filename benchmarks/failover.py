"""How long clients wait when a balancer dies, is drained, or a control plane dies; and beside it, with keepalived.

    sudo .venv/bin/python benchmarks/failover.py [--runs 5] [--aging 20] [--busy 10] [--file examples/lab.yaml]
                                                 [--keepalived-only]

Prints medians; judges nothing. The platform of the file is built in a state folder of the benchmark's own (bundle and
image cached beforehand) and each drill is done as often as asked for. Then the balancers are broken in all other ways,
one after the other, for some minutes, and the crash is measured again on a platform that has seen much. Then every
processor is kept busy for some minutes, and what the balancers take for a failure meanwhile is counted: each would be
a false alarm. At last two network namespaces with keepalived and a TLS server take the platform's place: the same
prober asks them in the same way, and the active one loses its power in the same way, cable first. keepalived is
installed with apt where it is lacking.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from keepalived_pair import Pair, install
from up import machines

GROUNDPLANE = [sys.executable, "-m", "groundplane"]
DRILLS = ("balancer-crash", "balancer-drain", "control-plane-crash")
AGED = "balancer-crash"
"""What is done again on a platform that has aged."""
AGING = (
    "balancer-hang",
    "balancer-partition-peer",
    "balancer-drain",
    "haproxy-crash",
    "balancer-partition-all",
    "balancer-crash",
    "gateway-crash",
)
"""What makes it age: members come and go, leaders change, the vote is lost, and Pacemaker remembers failures."""
FIGURES = ("gap_seconds", "failed_requests", "slow_requests", "detect_seconds", "moved_seconds", "healed_seconds")
ADVERTS = (1.0, 0.2)
"""Seconds between two of keepalived's advertisements: its default, and a quick one."""
BURN = "while time.monotonic() < end: pass"
ALARMS = {
    "a token came late": r"Token has not been received",
    "a member was given up": r"A processor failed",
    "the address was started": r"Result of start operation for floating-address",
    "the lease was lost": r"cut off for too long",
}
"""What the balancers log when they take something for a failure."""
Document = dict[str, Any]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--file", type=Path, default=Path("examples/lab.yaml"))
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--aging", type=float, default=20, help="minutes for which the balancers are broken")
    parser.add_argument("--busy", type=float, default=10, help="minutes for which every processor is kept busy")
    parser.add_argument("--keepalived-only", action="store_true", help="leave the platform out")
    arguments = parser.parse_args()
    if shutil.which("keepalived") is None:
        install()
    if not arguments.keepalived_only:
        with (
            tempfile.TemporaryDirectory(prefix="groundplane-bench-") as folder,
            platform(arguments.file, Path(folder)) as options,
        ):
            show_drills(drilled(options, DRILLS, arguments.runs))
            faults = aged(options, arguments.aging)
            for drill, reports in drilled(options, (AGED,), arguments.runs).items():
                show_drills({f"{drill} after {faults} faults": reports})
            show_alarms(arguments.busy, false_alarms(options, arguments.busy))
    print(f"\n{'keepalived: gap, s':32}{'median':>10}{'lowest':>10}{'highest':>10}")
    for advert in ADVERTS:
        gaps = [asyncio.run(Pair(advert).crash()) for _ in range(arguments.runs)]
        show(f"advert_int {advert:g}", gaps)


@contextmanager
def platform(file: Path, folder: Path) -> Iterator[list[str]]:
    """A platform of the benchmark's own; gives the options that name it."""
    options = ["--file", str(file), "--state-dir", str(folder / "state")]
    try:
        called("up", *options)
        yield options
    finally:
        called("down", "--yes", *options)


def aged(options: list[str], minutes: float) -> int:
    """Break the balancers for that long, once in each way at least; return how often."""
    print(f"the balancers are broken for {minutes:g} minutes", file=sys.stderr)
    end, count = time.monotonic() + minutes * 60, 0
    while time.monotonic() < end or count < len(AGING):
        called("drill", AGING[count % len(AGING)], *options, "--json", well=(0, 1))
        count += 1
    return count


def drilled(options: list[str], drills: Iterable[str], runs: int) -> Mapping[str, list[Document]]:
    """The reports of each drill."""
    found: dict[str, list[Document]] = defaultdict(list)
    for number in range(runs):
        for drill in drills:
            print(f"run {number + 1} of {runs}: {drill}", file=sys.stderr)
            # Status 1 says that something did not hold; its figures count all the same.
            found[drill].append(json.loads(called("drill", drill, *options, "--json", well=(0, 1))))
    return found


def false_alarms(options: list[str], minutes: float) -> Mapping[str, int]:
    """How often each sign of a failure was logged on the balancers while every processor was busy."""
    print(f"every processor is busy for {minutes:g} minutes", file=sys.stderr)
    balancers = [machine["name"] for machine in machines(options) if machine["role"] == "balancer"]
    since = f"@{time.time():.0f}"
    burners = [
        subprocess.Popen([sys.executable, "-c", f"import time; end = time.monotonic() + {minutes * 60}\n{BURN}"])
        for _ in range(os.cpu_count() or 1)
    ]
    for burner in burners:
        burner.wait()
    journals = [
        called("ssh", machine, *options, "--", "journalctl", "--no-pager", "-o", "cat", f"--since={since}")
        for machine in balancers
    ]
    return {title: sum(len(re.findall(sign, text)) for text in journals) for title, sign in ALARMS.items()}


def show_alarms(minutes: float, found: Mapping[str, int]) -> None:
    print(f"\nfalse alarms in {minutes:g} minutes with every processor busy")
    for title, count in found.items():
        print(f"{title:32}{count:>10}")


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
