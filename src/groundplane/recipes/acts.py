"""The acts of a plan: what is designed and what was found, as work that can be carried out."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from groundplane.events import Emit, Failed, Finished, Outcome, Planned
from groundplane.recipes.looking import asked_later, departure, partings
from groundplane.spec.roles import Role

if TYPE_CHECKING:
    from groundplane.design import Design
    from groundplane.machines.base import Blueprint, Provider
    from groundplane.rollout import Act
    from groundplane.rollout.plan import Leaving, MachinePlan, Plan
    from groundplane.state.change import Done
    from groundplane.state.model import MachineState
    from groundplane.state.step import Reach, Step
    from groundplane.verify.check import Check

BOOT: Final = "boot"
"""The step of a machine that is brought up."""
FIRST_BOOT: Final = 300.0
"""Seconds a machine may take from power-on to a finished first boot, on a slow and busy host."""


def acts(
    design: Design,
    provider: Provider,
    plan: Plan,
    leaving: Sequence[Leaving],
    blueprints: Collection[Blueprint],
    emit: Emit,
    told: Callable[[str, Done], None] = lambda *_: None,
    software: Path | None = None,
    removed: Callable[[str], None] = lambda _: None,
    spared: Mapping[str, Sequence[Check]] = MappingProxyType({}),
) -> tuple[Act, ...]:
    """Every machine's boot, every change of ``plan``, every departure and every Step, with what each needs, and what is
    asked before.

    ``told`` hears of each Change of a machine as it was carried out, ``removed`` of each machine that is gone.
    ``spared`` are, by each machine that is switched off and on, the checks that the others can do without it.
    ``software`` is the bundle's tree of programs, where the plan needs material. Whoever carries these out verifies the
    platform afterwards: what comes last is judged by that, and only what others wait for is judged before.
    """
    from groundplane.rollout import Act
    from groundplane.rollout.order import change_act, in_turn, machine_act, order, remove_act, without_act

    departures = [(one, departure(design, one)) for one in leaving]
    parting = partings(design, leaving, plan)
    later = asked_later(design, leaving, plan)
    asking = [name for name, checks in parting.items() if checks and name in later]
    needs = order(design.topology, plan, design.steps, departures, asking)
    standing = _standing(design, plan)
    judged = None if standing is design and not leaving else standing
    checks = design.checks_beside(judged) if standing else ()
    # With machines off nobody can say what was broken before: then all of it counts.
    excuses = not any(machine.off for machine in plan.machines)
    before = checks if excuses else ()
    states = {state.machine: state for state in design.states}
    last = plan.batches[-1] if plan.batches and not (plan.births or plan.removals or plan.steps) else ()

    def start(blueprint: Blueprint) -> Act:
        name = blueprint.state.machine
        act = boot(provider, blueprint, needs[machine_act(name)], name in fresh)
        if name not in plan.restarted:
            return act
        # What its changes are there to mend is judged after these.
        judge = before if name not in {machine.machine for machine in plan.machines} else ()
        return _restart(provider, act, [step for step in design.steps if step.restarts], spared[name], judge)

    def spares(machine: MachinePlan) -> tuple[Check, ...]:
        checks = standing.spares(machine.machine) if standing and (machine.interruptions or machine.off) else ()
        return tuple(_unless(partial(_as_it_should_be, provider, states[machine.machine]), check) for check in checks)

    def change(machine: MachinePlan) -> Act:
        name, touched = machine.machine, list[str]()
        waited_for = standing is not None and machine not in last
        planned = [change.key for change in machine.changes]

        def judging(keys: Sequence[str]) -> tuple[Check, ...]:
            return design.checks_after(name, keys, judged) if waited_for else ()

        def done(one: Done) -> None:
            touched.append(one.change.key)
            told(name, one)
            _tell(name, one, emit)

        return Act(
            change_act(name),
            name,
            "apply",
            partial(_bring, provider, states[name], software, done),
            needs[change_act(name)],
            before=spares(machine),
            after=lambda: judging(touched),
            judged=judging(planned) if excuses else (),
            finishes=True,
        )

    def removal(one: Leaving) -> Act:
        name = one.machine.name
        return Act(remove_act(name), name, "remove", partial(_remove, provider, name, removed), needs[remove_act(name)])

    def ask(name: str) -> Act:
        async def nothing(_: Outcome) -> None: ...

        return Act(without_act(name), name, "without", nothing, needs[without_act(name)], before=parting[name])

    def leave(one: Leaving, steps: Sequence[Step]) -> Iterator[Act]:
        before = parting.get(one.machine.name, ())
        for each in in_turn(steps):
            yield replace(step(each), before=before)
            before = ()

    def step(step: Step) -> Act:
        from groundplane.rollout.steps import make_hold

        async def run(outcome: Outcome) -> None:
            outcome.changed = await make_hold(step, provider.transport)

        # One that comes now disturbs nobody yet, and begins with what is wanted.
        disturbs = step.disturbs and step.name in missing and standing is not None and step.machine not in fresh
        return Act(
            step.name,
            step.machine,
            step.name.partition(":")[0],
            run,
            needs[step.name],
            before=tuple(_unless(step.probe, check) for check in standing.spares(step.machine))
            if standing and disturbs
            else (),
            after=lambda: checks if disturbs else (),
            judged=before if disturbs else (),
            finishes=disturbs,
        )

    fresh = {birth.machine for birth in plan.births}
    missing = {step.name for step in plan.steps}
    return (
        *map(start, blueprints),
        *map(ask, asking),
        *(change(machine) for machine in plan.machines),
        *(act for one, steps in departures for act in leave(one, steps)),
        *(removal(one) for one, _ in departures),
        *map(step, design.steps),
    )


def foreseen(design: Design) -> Planned:
    """All that building the platform consists of, besides the bundle, which knows its own parts."""
    return Planned(
        "platform",
        "up",
        steps=(
            ("image", "base image"),
            *((machine.name, BOOT) for machine in design.topology.machines),
            *((step.machine, step.name.partition(":")[0]) for step in design.steps),
            *(("verify", check.name) for check in design.checks),
        ),
    )


def _standing(design: Design, plan: Plan) -> Design | None:
    """The design of the machines that were there before. None where these are no platform yet: there is nothing to
    judge."""
    if not plan.machines:
        return design
    topology = design.topology
    fresh = {birth.machine for birth in plan.births}
    vital = (topology.of_role(Role.GATEWAY), topology.balancers, topology.control_planes)
    if any(fresh.issuperset(machine.name for machine in machines) for machines in vital):
        return None
    return design.among({machine.name for machine in topology.machines} - fresh)


def _unless(holds: Callable[[Reach], Awaitable[bool]], check: Check) -> Check:
    """``check``, where there is anything to do. This may be seen only now, as of a machine that was off; where nothing
    is to be done nobody has to do without the machine, and the others may not be a cluster yet."""

    async def probe(reach: Reach) -> str:
        return "nothing differs" if await holds(reach) else await check.probe(reach)

    return replace(check, probe=probe)


async def _as_it_should_be(provider: Provider, state: MachineState, _: Reach) -> bool:
    from groundplane.rollout.link import AgentLink

    return not (await AgentLink(provider.transport).observe(state)).changes


def boot(provider: Provider, blueprint: Blueprint, needs: Sequence[str] = (), fresh: bool = False) -> Act:
    """The act that brings one machine up. A unit that fails on a ``fresh`` one is the end of it; on one that was born
    long ago it is what its changes mend."""
    from groundplane.rollout import Act
    from groundplane.rollout.order import machine_act

    name = blueprint.state.machine

    async def run(outcome: Outcome) -> None:
        outcome.changed = await provider.ensure(name, blueprint)
        await provider.wait_ready(name, deadline=FIRST_BOOT, strict=fresh)

    return Act(machine_act(name), name, BOOT, run, tuple(needs))


def _restart(
    provider: Provider, boot: Act, steps: Sequence[Step], spared: Sequence[Check], judge: tuple[Check, ...]
) -> Act:
    """``boot``, before which the machine is switched off where one of ``steps`` about it doesn't hold: it starts with
    today's material then. ``spared``, that the others can do without it, must hold before, and ``judge`` after."""
    from groundplane.machines.base import switch_of

    async def hold(reach: Reach) -> bool:
        return all([await step.probe(reach) for step in steps if step.machine == boot.machine])

    async def run(outcome: Outcome) -> None:
        if not await hold(provider.transport):
            await switch_of(provider, boot.machine).stop(boot.machine)
        await boot.carry_out(outcome)

    before = tuple(_unless(hold, check) for check in spared)
    return replace(boot, carry_out=run, before=before, after=lambda: judge, judged=judge)


async def _bring(
    provider: Provider, state: MachineState, software: Path | None, told: Callable[[Done], None], outcome: Outcome
) -> None:
    from groundplane.rollout.link import AgentLink

    done = await AgentLink(provider.transport, software).bring(state, told)
    outcome.changed = bool(done)
    outcome.note = f"{len(done)} changes"


def _tell(machine: str, done: Done, emit: Emit) -> None:
    step = f"{done.change.kind.value} {done.change.key}"
    note = f"{done.change.action.value}: {done.change.why}"
    if done.problem:
        emit(Failed(machine, step, seconds=done.seconds, error=f"{note}: {done.problem}"))
    else:
        emit(Finished(machine, step, seconds=done.seconds, note=note))


async def _remove(provider: Provider, machine: str, removed: Callable[[str], None], _: Outcome) -> None:
    await provider.remove(machine)
    removed(machine)
