"""How long the pure part takes for a large platform, and in how much memory. Prints medians; judges nothing.

    .venv/bin/python benchmarks/design.py [--runs 3] [--machines 1000]

Each run is a process of its own, so that nothing is compiled or cached beforehand: it reads an explicit list of
machines, lays it out, makes the keys, and asks every component about every machine.
"""

from __future__ import annotations

import argparse
import json
import resource
import statistics
import subprocess
import sys
import time

SPINE = 6
"""The gateway, two balancers and three control planes; all other machines are workers."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--machines", type=int, default=1000)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--once", action="store_true", help="measure in this process and print JSON")
    arguments = parser.parse_args()
    if arguments.once:
        print(json.dumps(one_run(arguments.machines)))
        return
    again = [sys.executable, __file__, "--once", "--machines", str(arguments.machines)]
    runs: list[dict[str, float]] = [
        json.loads(subprocess.run(again, check=True, stdout=subprocess.PIPE).stdout) for _ in range(arguments.runs)
    ]
    print(f"{f'{arguments.machines} machines':32}{'median':>10}{'lowest':>10}{'highest':>10}")
    for name in runs[0]:
        values = [run[name] for run in runs]
        print(f"{name:32}{statistics.median(values):>10.2f}{min(values):>10.2f}{max(values):>10.2f}")


def one_run(count: int) -> dict[str, float]:
    """Seconds of each stage, and the most memory the process ever had."""
    file = cluster_file(count)
    marks = [time.perf_counter()]

    from groundplane.design import design
    from groundplane.software import known_versions
    from groundplane.spec import load
    from groundplane.topology import Traits, lay_out
    from groundplane.topology.pki import make_secrets

    marks.append(time.perf_counter())
    processor = time.process_time()
    spec = load(file, name="benchmark", versions=known_versions())
    marks.append(time.perf_counter())
    secrets = make_secrets(spec)
    marks.append(time.perf_counter())
    topology = lay_out(spec, secrets, Traits())
    marks.append(time.perf_counter())
    designed = design(topology)
    marks.append(time.perf_counter())
    assert len(designed.states) == count
    stages = ("import, s", "load the file, s", "make the keys, s", "lay out, s", "design, s")
    found = {stage: marks[number + 1] - marks[number] for number, stage in enumerate(stages)}
    return {
        **found,
        "file to design, s": marks[-1] - marks[1],
        "file to design, processor s": time.process_time() - processor,
        "most memory, MiB": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }


def cluster_file(count: int, moved: int = 0) -> bytes:
    """A file that lists ``count`` machines one by one; the last ``moved`` of them are others than without it."""
    spine = [("gateway", "gateway"), ("lb1", "balancer"), ("lb2", "balancer")]
    spine += [(f"cp{number}", "control-plane") for number in (1, 2, 3)]
    numbers = (*range(1, count - SPINE - moved + 1), *range(count + 1, count + moved + 1))
    workers = [(f"worker{number}", "worker") for number in numbers]
    lines = [
        "name: large",
        "network: {lan: 10.80.0.0/20}",
        "kubernetes: {pods: 10.128.0.0/13}",
        "machines:",
        *(f"  - {{name: {name}, role: {role}}}" for name, role in spine + workers),
    ]
    return "\n".join(lines).encode() + b"\n"


if __name__ == "__main__":
    main()
