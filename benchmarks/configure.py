"""How long tools take to configure four machines over SSH: ours, Ansible, Ansible with Mitogen, pyinfra.

    sudo .venv/bin/python benchmarks/configure.py [--firsts 3] [--runs 5] [--only groundplane] [--prepare]

All are given the same work (``configuring/work.py``) on the same kind of machines: Debian system containers in a
network of their own, made anew before each first apply. After it, one inspection for all looks on every machine
whether the work is done; after the runs that follow, whether those left everything alone. Below them stands the
floor: what SSH and Python take by themselves. The tools are installed by pip into the user's cache (--prepare does
that and no more). Prints medians and, beside ours, what we mean to reach; judges nothing.
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from configuring.ansible import Ansible
from configuring.floor import floor
from configuring.machines import Lab, base_image, lab
from configuring.ours import Groundplane
from configuring.pyinfra import Pyinfra
from configuring.tools import Failed, Tool, python_version, seconds
from configuring.work import MACHINES, WORK

from groundplane.store import Home

TOOLS: Final[tuple[Tool, ...]] = (Groundplane(), Pyinfra(), Ansible(mitogen=True), Ansible())
FLOOR: Final = "the floor"
OURS: Final = "groundplane"


@dataclass(frozen=True, slots=True)
class Figures:
    """Seconds, one entry per run."""

    first: tuple[float, ...]
    again: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Goal:
    """How many times as long as ``ours`` a rival should take, or (``least`` False) we at most as long as it."""

    rival: str
    ratio: float
    first: bool = False
    least: bool = True


GOALS: Final = (
    Goal(FLOOR, 3, least=False),
    Goal("Ansible, tuned", 50),
    Goal("Ansible with Mitogen", 15),
    Goal("pyinfra", 8),
    Goal("pyinfra", 5, first=True),
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--firsts", type=int, default=3, help="first applies of each tool")
    parser.add_argument("--runs", type=int, default=5, help="runs of each tool with nothing left to do")
    parser.add_argument("--only", action="append", help="measure this tool alone (any number of times)")
    parser.add_argument("--prepare", action="store_true", help="install the tools, make the image, measure nothing")
    arguments = parser.parse_args()
    tools = [tool for tool in TOOLS if not arguments.only or tool.name in arguments.only]
    try:
        asyncio.run(measure(tools, arguments.firsts, 0 if arguments.prepare else arguments.runs))
    except Failed as failure:
        sys.exit(str(failure))


async def measure(tools: Sequence[Tool], firsts: int, runs: int) -> None:
    """Install, boot, measure, print. With ``runs`` 0: install alone."""
    cache = Home.find().cache
    for tool in tools:
        print(f"{tool.name}: {tool.install(cache / 'benchmark')}", flush=True)
    root = await base_image(cache)
    if not runs:
        return
    with tempfile.TemporaryDirectory(prefix="groundplane-bench-") as name:
        async with lab(Path(name), cache / "benchmark", root) as machines:
            figures = {tool.name: await measured(tool, machines, Path(name), firsts, runs) for tool in tools}
            figures[FLOOR] = Figures((), floored(machines, Path(name), 2 * runs))
    show(figures)


async def measured(tool: Tool, machines: Lab, folder: Path, firsts: int, runs: int) -> Figures:
    """``firsts`` times on new machines, then ``runs`` times more on the last of them."""
    first, again = [], []
    for number in range(firsts):
        await machines.renew()
        await expect(tool, machines, done=False)
        own = folder / f"tool{TOOLS.index(tool)}-{number}"  # short and plain: sockets and lists of paths go by it
        own.mkdir()
        call = tool.render(machines, own)
        try:
            first.append(seconds(tool.name, machines, call, own))
            touched = await expect(tool, machines, done=True)
            if number == firsts - 1:
                again = [seconds(tool.name, machines, call, own) for _ in range(runs)]
                if await expect(tool, machines, done=True) != touched:
                    raise Failed(f"{tool.name} changed something although nothing was to be done")
        finally:
            tool.leave(own)
        print(f"{tool.name}: first {first[-1]:.2f} s", *(f"{value:.2f}" for value in again), file=sys.stderr)
    return Figures(tuple(first), tuple(again))


def floored(machines: Lab, folder: Path, runs: int) -> tuple[float, ...]:
    own = folder / "floor"
    own.mkdir()
    return tuple(seconds(FLOOR, machines, floor(machines), own) for _ in range(runs))


async def expect(tool: Tool, machines: Lab, *, done: bool) -> dict[str, dict[str, int]]:
    """Inspect every machine; Failed where the work is not done, or (``done`` False) where any of it is done but for
    what the machines are born with. Returns when each thing was last touched."""
    findings = await machines.inspect()
    born_with = len(WORK.packages)  # they lie in the image: nothing in this network could give them later
    for machine, finding in findings.items():
        if done and finding.problems:
            raise Failed(f"{tool.name} left {machine} undone: {'; '.join(finding.problems)}")
        if not done and len(finding.problems) < WORK.size - born_with:
            raise Failed(f"{machine} isn't new: only {len(finding.problems)} things are to be done")
    return {machine: finding.touched for machine, finding in findings.items()}


def show(figures: dict[str, Figures]) -> None:
    print(f"\n{len(MACHINES)} machines, {WORK.size} resources on each; {python_version()} here; seconds")
    print(f"{'':24}{'median':>9}{'lowest':>9}{'highest':>9}{'runs':>6}{'to ours':>9}{'to floor':>10}")
    ours, bottom = figures.get(OURS), statistics.median(figures[FLOOR].again)
    for title, first in (("first apply", True), ("nothing to do", False)):
        print(title)
        base = runs_of(ours, first) if ours else ()
        for name, own in figures.items():
            if values := runs_of(own, first):
                median = statistics.median(values)
                ratio = f"{median / statistics.median(base):.1f}" if base else ""
                print(
                    f"  {name:22}{median:>9.2f}{min(values):>9.2f}{max(values):>9.2f}{len(values):>6}"
                    f"{ratio:>9}{median / bottom:>10.1f}"
                )
    for goal in GOALS:
        if ours and goal.rival in figures:
            print(aim(goal, ours, figures[goal.rival]))


def aim(goal: Goal, ours: Figures, rival: Figures) -> str:
    """The goal beside what came out."""
    what = "first apply" if goal.first else "nothing to do"
    mine = statistics.median(runs_of(ours, goal.first))
    other = statistics.median(runs_of(rival, goal.first))
    if goal.least:
        return f"  {what}: {goal.rival} takes {other / mine:.1f} times as long; the aim is {goal.ratio:g} or more"
    return f"  {what}: we take {mine / other:.1f} times as long as {goal.rival}; the aim is {goal.ratio:g} or less"


def runs_of(figures: Figures, first: bool) -> tuple[float, ...]:
    return figures.first if first else figures.again


if __name__ == "__main__":
    main()
