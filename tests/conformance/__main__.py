"""Runs Kubernetes' own conformance tests against a platform of groundplane's: ``python -m tests.conformance``.

Builds the suite and its images, brings a platform up that serves them, and runs, from the lab's network and against
the floating address, every conformance test that may run beside others. Those that don't pass are run once more, one
by one, and the summary tells the two apart. Exit status 0 when every test passed in one of the two runs.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from groundplane import recipes
from groundplane.bundle.obtain import obtain
from groundplane.bundle.trees import software_tree
from groundplane.cli.output import Output, duration
from groundplane.cli.progress import shown
from groundplane.components.cluster.kubeconfig import user_kubeconfig
from groundplane.errors import GroundplaneError
from groundplane.machines.base import OnLan
from groundplane.store import Home, write_private
from tests.conformance import report
from tests.conformance.kit import KUBERNETES, Kit, build

HERE: Final = Path(__file__).parent
WANTED: Final = r"\[Conformance\]"
LEFT_OUT: Final = r"\[Serial\]|\[Slow\]|\[Disruptive\]"
PER_PROCESSOR: Final = 3
"""Tests at a time on one processor: they mostly wait for pods. With more, waits of a few seconds begin to run out."""
AGAIN: Final = 30
"""With more tests than this left, it's the platform that fails, not chance: they aren't run again."""


@dataclass(frozen=True, slots=True)
class Ground:
    """A platform that is up, as the suite reaches it. ``enter`` comes before an argv."""

    enter: tuple[str, ...]
    kubeconfig: Path
    kubectl: Path


def main() -> int:
    options = _options()
    options.out.mkdir(parents=True, exist_ok=True)
    with shown(Output.standard(), quiet=False, verbose=False) as emit:
        kit = build(options.cache or Home.find().prepared_cache() / "conformance", emit)
    wanted = tuple(report.read(_planned(kit, options)))
    print(f"{len(wanted)} tests to run; log, reports and summary in {options.out}", flush=True)
    if options.build_only:
        return 0
    _groundplane(options, "up", "--extra-images", str(kit.images))
    try:
        verdict = _run(kit, _ground(options), options, wanted)
    finally:
        if not options.keep:
            _groundplane(options, "down", "--yes")
    lines = [f"Kubernetes {KUBERNETES}, conformance tests matching {options.focus} without {options.skip}"]
    lines += verdict.lines()
    lines += ["", "Slowest:"]
    lines += [f"- {duration(one.seconds)} {one.name}" for one in report.slowest(verdict.first.values(), 5)]
    (options.out / "summary.md").write_text("\n".join(lines) + "\n", encoding="utf-8")
    print("\n".join(lines))
    return 0 if verdict.ok else 1


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.conformance", description=__doc__)
    parser.add_argument("--file", type=Path, default=HERE / "cluster.yaml", help="the cluster file")
    parser.add_argument("--out", type=Path, default=Path("build/conformance"), help="where results go")
    parser.add_argument("--state-dir", type=Path, help="default: state, in the folder of the results")
    parser.add_argument("--cache", type=Path, help="where the suite and its images are kept")
    parser.add_argument("--processes", type=int, default=PER_PROCESSOR * len(os.sched_getaffinity(0)))
    parser.add_argument("--focus", default=WANTED, help="regular expression of tests to run")
    parser.add_argument("--skip", default=LEFT_OUT, help="regular expression of tests to leave out")
    parser.add_argument("--timeout", default="90m", help="how long the first run may take")
    parser.add_argument("--keep", action="store_true", help="leave the platform up")
    parser.add_argument("--build-only", action="store_true", help="build suite and images, count the tests, and stop")
    options = parser.parse_args()
    options.out = options.out.resolve()
    options.state_dir = (options.state_dir or options.out / "state").resolve()
    return options


def _planned(kit: Kit, options: argparse.Namespace) -> Path:
    """The report of a run that runs nothing: which tests there are."""
    path: Path = options.out / "planned.json"
    argv = (
        str(kit.suite),
        "--ginkgo.dry-run",
        f"--ginkgo.focus={options.focus}",
        f"--ginkgo.skip={options.skip}",
        f"--ginkgo.json-report={path}",
        "--provider=skeleton",
    )
    subprocess.run(argv, check=True, stdout=subprocess.DEVNULL, cwd=options.out)
    return path


def _groundplane(options: argparse.Namespace, command: str, *words: str) -> None:
    shared = ("--file", str(options.file), "--state-dir", str(options.state_dir))
    done = subprocess.run((sys.executable, "-m", "groundplane", command, *shared, *words), check=False)
    if done.returncode != 0:
        raise GroundplaneError(f"groundplane {command} ended with {done.returncode}")


def _ground(options: argparse.Namespace) -> Ground:
    """The suite runs on this computer but in the lab's network: tests speak to the nodes' own addresses too."""
    plan, provider = recipes.existing(recipes.Options(options.file, state_dir=options.state_dir))
    if not isinstance(provider, OnLan):
        raise GroundplaneError("its provider puts nothing on the machines' LAN from here")
    server = f"https://{plan.topology.lan.floating}:6443"
    secret = asyncio.run(user_kubeconfig(provider.transport, plan.topology, server))
    path = options.out / "kubeconfig"
    write_private(path, secret.reveal())
    version = plan.topology.spec.kubernetes.version
    if version != KUBERNETES:
        raise GroundplaneError(f"the suite is Kubernetes {KUBERNETES}'s, the platform is {version}")
    software = software_tree(obtain(version, cache=Home.find().cache / "bundle"))
    return Ground(provider.on_lan(()), path, software / "usr/local/bin/kubectl")


def _run(kit: Kit, ground: Ground, options: argparse.Namespace, wanted: tuple[str, ...]) -> report.Verdict:
    first = _ginkgo(kit, ground, options, "first", options.focus, options.processes)
    verdict = report.Verdict(wanted, first, {})
    if verdict.left and len(verdict.left) <= AGAIN:
        print(f"{len(verdict.left)} tests did not pass; running them again, one by one", flush=True)
        again = _ginkgo(kit, ground, options, "again", report.focus(verdict.left), 1)
        verdict = report.Verdict(wanted, first, again)
    return verdict


def _ginkgo(
    kit: Kit, ground: Ground, options: argparse.Namespace, name: str, focus: str, processes: int
) -> dict[str, report.Outcome]:
    """One run of the suite. Its exit status says less than its report, which is what counts."""
    argv = (
        *ground.enter,
        str(kit.ginkgo),
        "run",
        f"--nodes={processes}",
        "--no-color",
        "--silence-skips",
        f"--timeout={options.timeout}",
        f"--focus={focus}",
        f"--skip={options.skip}",
        f"--output-dir={options.out}",
        f"--json-report={name}.json",
        f"--junit-report={name}.xml",
        str(kit.suite),
        "--",
        "--provider=skeleton",
        f"--kubeconfig={ground.kubeconfig}",
        f"--kubectl-path={ground.kubectl}",
        f"--e2e-output-dir={options.out}",
        "--disable-log-dump",
    )
    print(f"{processes} at a time; watch it with: tail -f {options.out / name}.log", flush=True)
    for old in (f"{name}.json", f"{name}.xml"):
        (options.out / old).unlink(missing_ok=True)
    with (options.out / f"{name}.log").open("wb") as log:
        subprocess.run(argv, check=False, stdout=log, stderr=subprocess.STDOUT, cwd=options.out)
    return report.read(options.out / f"{name}.json")


if __name__ == "__main__":
    try:
        sys.exit(main())
    except GroundplaneError as error:
        sys.exit(f"error: {error}")
