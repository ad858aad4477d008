"""What a plan costs for 100, 300 and 1,000 machines, and what an apply costs that touches one of them. Simulated.

A second plan is of a file where ten workers have gone and ten others come: the removals, the births, the changes of
all that know of them, and the order in which these are carried out.

    .venv/bin/python benchmarks/scale.py [--runs 3] [--sizes 100,300,1000]

The machines are the shipped fake transport's: each keeps what it was last brought to and answers as the agent would,
so what is measured is the operator's side alone: reading the file, designing, writing the requests, reading
the answers. Each plan is a process of its own. Prints medians and, beside them, what we mean to reach; judges nothing.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from design import cluster_file

if TYPE_CHECKING:
    from groundplane.design import Design
    from groundplane.state.change import Change
    from groundplane.state.model import MachineState
    from groundplane.state.step import Completed
    from groundplane.state.wire import Event
    from groundplane.topology.model import Topology
    from groundplane.transport.fake import Call

LARGEST: Final = 1000
MOVED: Final = 10
"""How many machines go, and how many come, in the plan of a changed file."""
GOALS: Final = {"plan, s": 3.0, "most memory, MiB": 500.0}
"""For the largest size: at most this."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--sizes", default=f"100,300,{LARGEST}")
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--once", type=int, help="measure this size in this process and print JSON")
    parser.add_argument("--moved", action="store_true", help="with --once: of a file where machines come and go")
    arguments = parser.parse_args()
    if arguments.once:
        print(json.dumps(one_move(arguments.once) if arguments.moved else one_run(arguments.once)))
        return
    sizes = [int(size) for size in arguments.sizes.split(",")]
    show({size: [in_processes(size) for _ in range(arguments.runs)] for size in sizes})


def in_processes(size: int) -> dict[str, float]:
    """Both plans, each in a process of its own."""
    again = [sys.executable, __file__, "--once", str(size)]
    found: dict[str, float] = {}
    for command in (again, [*again, "--moved"]):
        found |= json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)
    return found


def one_run(count: int) -> dict[str, float]:
    """Seconds, MiB and numbers of one size."""
    begin = time.perf_counter()
    topology, design = designed(cluster_file(count))
    return asyncio.run(measured(topology, design, time.perf_counter() - begin))


def one_move(count: int) -> dict[str, float]:
    """Seconds and MiB of the plan for machines that stand as a former file said, and the number of its acts."""
    with ProcessPoolExecutor(1) as elsewhere:  # so that the former design takes none of this process's memory
        there = elsewhere.submit(brought_by, count).result()
    begin = time.perf_counter()
    topology, design = designed(cluster_file(count, moved=MOVED))
    return asyncio.run(measured_move(topology, design, there, time.perf_counter() - begin))


def brought_by(count: int) -> dict[str, bytes]:
    """By which request each machine of the file was brought to its state."""
    from groundplane.state.wire import state_to_bytes

    return {state.machine: state_to_bytes(state) for state in designed(cluster_file(count))[1].states}


def designed(file: bytes) -> tuple[Topology, Design]:
    """From the file to every machine's state, imports and all: what the command line would do."""
    from groundplane.design import design
    from groundplane.software import known_versions
    from groundplane.spec import load
    from groundplane.topology import Traits, lay_out
    from groundplane.topology.pki import make_secrets

    spec = load(file, name="benchmark", versions=known_versions())
    topology = lay_out(spec, make_secrets(spec), Traits())
    return topology, design(topology)


async def measured(topology: Topology, design: Design, designing: float) -> dict[str, float]:
    """Plan for machines that are as they should be; then change one machine's state, plan, and apply.

    Steps are left out: what they ask the cluster for doesn't grow with its machines.
    """
    from groundplane.rollout.link import AgentLink
    from groundplane.rollout.look import look
    from groundplane.rollout.plan import Plan, Seen, plan
    from groundplane.state.wire import state_to_bytes
    from groundplane.transport.fake import FakeTransport

    async def planned_for(states: tuple[MachineState, ...]) -> Plan:
        return plan(topology, Seen(await look(states, (), (), link.observe)), interrupts=design.interrupts)

    states = design.states
    fake = FakeTransport()
    simulated = Simulated({state.machine: state_to_bytes(state) for state in states})
    fake.on("*", then=simulated.answer)
    link = AgentLink(fake)

    planning = time.perf_counter()
    assert (await planned_for(states)).empty
    planned = time.perf_counter()
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024  # before the fake has kept more calls
    assert len(fake.calls) == len(states), "a machine where nothing differs takes one round trip"
    fake.calls.clear()

    wanted = (*states[:-1], touched(states[-1]))
    found = [machine.machine for machine in (await planned_for(wanted)).machines]
    assert found == [wanted[-1].machine]
    fake.calls.clear()
    applying = time.perf_counter()
    for state in wanted:
        if state.machine in found:
            await link.bring(state)
    applied = time.perf_counter()
    acted = len(fake.calls)
    assert (await planned_for(wanted)).empty
    return {
        "file to design, s": designing,
        "looking at all, s": planned - planning,
        "plan, s": designing + planned - planning,
        "most memory, MiB": memory,
        "acting on the one that differs, ms": (applied - applying) * 1000,
        "machines acted on": acted,
    }


async def measured_move(
    topology: Topology, design: Design, there: Mapping[str, bytes], designing: float
) -> dict[str, float]:
    """Look at the machines that are ``there`` and stay, plan, and put all acts into their order.

    The Steps by which machines leave and join are in the order, and count as not holding.
    """
    from groundplane.rollout.link import AgentLink
    from groundplane.rollout.look import look
    from groundplane.rollout.order import order
    from groundplane.rollout.plan import Leaving, Seen, StepPlan, plan
    from groundplane.transport.fake import FakeTransport

    planning = time.perf_counter()
    wanted = {machine.name: machine for machine in topology.machines}
    some = next(machine for machine in topology.machines if machine.name not in there)
    going = [Leaving(replace(some, name=name), alive=True) for name in there if name not in wanted]
    absent = wanted.keys() - there.keys()
    fake = FakeTransport()
    fake.on("*", then=Simulated(there).answer)
    found = await look(design.states, absent, absent, AgentLink(fake).observe)
    joining = tuple(StepPlan(step.name, step.machine, step.why) for step in design.steps if step.machine in absent)
    departures = [(one, design.leaving(one.machine)) for one in going]
    leaving = tuple(StepPlan(step.name, step.machine, step.why) for _, steps in departures for step in steps)
    proposal = plan(topology, Seen(found, (*leaving, *joining), tuple(going)), interrupts=design.interrupts)
    ordered = order(topology, proposal, design.steps, departures)
    planned = time.perf_counter()
    assert len(proposal.births) == len(proposal.removals) == MOVED
    assert {name for name in ordered if name.startswith("remove:")} == {f"remove:{one.machine.name}" for one in going}
    return {
        f"plan with {MOVED} gone and {MOVED} new, s": designing + planned - planning,
        "most memory of it, MiB": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        "machines changed": len(proposal.machines),
        "acts in order": len(ordered),
    }


def touched(state: MachineState) -> MachineState:
    """The same with one file's content changed."""
    file, *others = state.files
    return replace(state, files=(replace(file, content=file.content + b"# changed\n"), *others))


class Simulated:
    """The agent's answers, of machines that differ from what is wanted in files alone. A machine keeps the request by
    which it was brought to its state: the same one again finds nothing to do."""

    def __init__(self, brought_by: Mapping[str, bytes]) -> None:
        self.brought_by = dict(brought_by)

    def answer(self, call: Call) -> Completed:
        from groundplane.state.change import Done, Ended
        from groundplane.state.step import Completed
        from groundplane.state.wire import event_to_line

        changes = tuple(self._changes(call)) if call.stdin != self.brought_by[call.machine] else ()
        events: list[Event] = [*changes]
        if call.argv[-1] == "apply":
            events += [Done(change, 0.0) for change in changes]
            self.brought_by[call.machine] = call.stdin
        events.append(Ended(len(changes)))
        return Completed(0, b"\n".join(map(event_to_line, events)), b"")

    def _changes(self, call: Call) -> Iterator[Change]:
        from groundplane.state.change import Action, Change, Kind
        from groundplane.state.wire import state_from_bytes

        wanted, there = state_from_bytes(call.stdin), state_from_bytes(self.brought_by[call.machine])
        known = {file.path: file for file in there.files}
        for file in wanted.files:
            if known.get(file.path) != file:
                yield Change(Kind.FILE, file.path, Action.UPDATE, "content differs")


def show(runs: dict[int, list[dict[str, float]]]) -> None:
    names = list(next(iter(runs.values()))[0])
    print(f"{'machines':36}" + "".join(f"{size:>12,}" for size in runs))
    medians = {
        size: {name: statistics.median(run[name] for run in own) for name in names} for size, own in runs.items()
    }
    for name in names:
        aim = f"   the aim at {LARGEST:,}: at most {GOALS[name]:g}" if name in GOALS else ""
        print(f"{name:36}" + "".join(f"{medians[size][name]:>12.2f}" for size in runs) + aim)
    each = "".join(f"{medians[size]['plan, s'] / size * 1000:>12.2f}" for size in runs)
    print(f"{'plan for each machine, ms':36}{each}   linear where it doesn't grow")


if __name__ == "__main__":
    main()
