"""Looking at a platform: what differs from its design, as a Plan. Pure reading, and none of the journal's business."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from math import inf
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from groundplane.errors import ApplyError
from groundplane.events import Emit, Progress, reported, silent
from groundplane.spec.roles import MIB, Role
from groundplane.topology.model import Machine, Topology

if TYPE_CHECKING:
    from groundplane.design import Design
    from groundplane.machines.base import MachineStatus, Provider
    from groundplane.rollout.plan import Leaving, Plan
    from groundplane.state.step import Step
    from groundplane.verify.check import Check

LOOK = "look"
"""The step of whoever only looks at the platform."""
CPUS_ALIKE: Final = 0.001


async def proposed(
    design: Design,
    provider: Provider,
    edits: Sequence[object] = (),
    emit: Emit = silent,
    *,
    anew: Collection[str] = (),
    former: Mapping[str, Machine] = MappingProxyType({}),
    verified: bool = True,
) -> Plan:
    """What would have to be done to make the platform as ``design`` says, and the machines of ``anew`` once more."""
    from groundplane.components.everywhere import some
    from groundplane.components.pacemaker.status import holder
    from groundplane.machines.base import Power
    from groundplane.rollout.link import AgentLink
    from groundplane.rollout.look import look, not_holding
    from groundplane.rollout.plan import Resize, Seen, plan

    reach = provider.transport
    there = {one.name: one for one in provider.status()}
    off = frozenset(name for name, now in there.items() if now.power is not Power.RUNNING)
    absent = frozenset(name for name, now in there.items() if now.power is Power.ABSENT)
    going = leaving(design, provider, anew, former)
    steps = [*(step for one in going for step in departure(design, one)), *design.steps]
    waiting = [state.machine for state in design.states if state.machine not in off]
    nobody = not waiting

    def wait() -> None:
        emit(Progress("platform", LOOK, note=f"waiting for {some(waiting) or 'the cluster'}"))

    def looked(machine: str) -> None:
        waiting.remove(machine)
        wait()

    with reported(emit, "platform", LOOK, changed=False):
        wait()
        found, not_so, active = await asyncio.gather(
            look(design.states, off, absent, AgentLink(reach).observe, looked),
            not_holding(steps, off - {one.machine.name for one in going}, reach, nobody=nobody),
            holder(reach, design.topology),
        )
    sizes = tuple(
        Resize(name, words)
        for name, one in there.items()
        if name in found and (words := _other_size(design.topology.machine(name), one))
    )
    seen = Seen(found, not_so, going, active, verified, sizes)
    return plan(design.topology, seen, edits=[str(edit) for edit in edits], interrupts=design.interrupts)


def leaving(
    design: Design,
    provider: Provider,
    anew: Collection[str] = (),
    former: Mapping[str, Machine] = MappingProxyType({}),
) -> tuple[Leaving, ...]:
    """The machines that are there and shouldn't be, then those to be made ``anew``: the ones asked for, and those that
    were made as something else than the file has under their name. What the provider doesn't remember may be known from
    the file whose machines they were, ``former`` ones."""
    from groundplane.machines.base import Power
    from groundplane.rollout.plan import Leaving

    ours = {machine.name: machine for machine in design.topology.machines}
    there = [one for one in provider.status() if one.exists]
    strangers = [
        Leaving(
            _met(design.topology, one, former.get(one.name)),
            one.power is Power.RUNNING,
            known=one.identity is not None or one.name in former,
        )
        for one in there
        if one.name not in ours
    ]
    again = [
        Leaving(_met(design.topology, one, ours[one.name]), one.power is Power.RUNNING, anew=True)
        for one in there
        if one.name in anew or (one.name in ours and _another(ours[one.name], one))
    ]
    return (*strangers, *again)


def _other_size(wanted: Machine, there: MachineStatus) -> str:
    """How the size a running machine has differs from the file's; empty where it doesn't, or nobody can tell. Kernels
    count processors in parts of a period and memory in pages: so much less is none."""
    words, (cpus, memory) = [], (there.size.cpus, there.size.memory)
    if cpus is not None and abs(cpus - wanted.cpus) > CPUS_ALIKE:
        words.append(f"{'all' if cpus == inf else f'{cpus:g}'} processors, not {wanted.cpus:g}")
    if memory is not None and abs(memory - wanted.memory) >= MIB:
        has = "all memory" if memory == inf else f"{memory / MIB:.0f} MiB of memory"
        words.append(f"{has}, not {wanted.memory // MIB}{' MiB' if memory == inf else ''}")
    return "; ".join(words)


def _another(wanted: Machine, status: MachineStatus) -> bool:
    known = status.identity
    return known is not None and (known.roles, known.address) != (wanted.roles, wanted.address)


def departure(design: Design, going: Leaving) -> tuple[Step, ...]:
    """The Steps by which a machine leaves the others."""
    return design.leaving(going.machine) if going.known else ()


async def with_ailing(design: Design, provider: Provider, going: Sequence[Leaving], plan: Plan) -> tuple[Leaving, ...]:
    """``going``, with those marked that live and ail."""
    there = _there(design, going, plan)

    async def asked(one: Leaving) -> Leaving:
        questions = [part.component.ails for part in design.parts] if one.alive and one.known else []
        return replace(one, ails=any([await ails(provider.transport, there, one.machine) for ails in questions]))

    return tuple(await asyncio.gather(*map(asked, going)))


def partings(design: Design, going: Sequence[Leaving], plan: Plan) -> dict[str, tuple[Check, ...]]:
    """For each machine that lives and goes, by name, the checks that the others can do without it.

    The others are those that are there and don't leave before it, as who is dead or ails does: these aren't waited for.
    """
    there = _there(design, going, plan)
    ailing = {one.machine.name for one in going if one.ails}
    found: dict[str, tuple[Check, ...]] = {}
    for name, machine in _living(going).items():
        others = tuple(other for other in there.machines if other.name == name or other.name not in ailing)
        found[name] = design.parting(replace(there, machines=others), machine)
    return found


def _there(design: Design, going: Sequence[Leaving], plan: Plan) -> Topology:
    """The machines that are there, but for those that leave dead. What ``plan`` makes isn't there yet."""
    living = _living(going)
    unborn = {birth.machine for birth in plan.births}
    stay = [one for one in design.topology.machines if one.name not in unborn | living.keys()]
    return replace(design.topology, machines=(*stay, *living.values()))


def _living(going: Sequence[Leaving]) -> dict[str, Machine]:
    return {one.machine.name: one.machine for one in going if one.alive and one.known}


def asked_later(design: Design, going: Sequence[Leaving], plan: Plan) -> frozenset[str]:
    """Those of ``going``, by name, of whose kind a machine that stays is off: whether the others can do without them is
    seen only when that one was switched on. Of a gateway it is asked at once, for nobody is switched on without it."""
    off = [design.topology.machine(machine.machine) for machine in plan.machines if machine.off]
    leavers = [one.machine for one in going if not one.machine.has(Role.GATEWAY)]
    return frozenset(one.name for one in leavers if any(machine.has(*one.roles) for machine in off))


async def refuse_parting(design: Design, provider: Provider, going: Sequence[Leaving], plan: Plan, emit: Emit) -> None:
    """ApplyError, before anything is touched, where the others can't do without one that lives and goes. Of those
    ``asked_later`` an act asks, before anything else is done than to switch machines on."""
    later = asked_later(design, going, plan)
    for name, checks in partings(design, going, plan).items():
        if name not in later:
            await require(checks, provider, name, emit)


async def spared(
    design: Design, provider: Provider, plan: Plan, emit: Emit, former: Collection[str] = ()
) -> dict[str, tuple[Check, ...]]:
    """For each machine that ``plan`` has switched off and on, by name, the checks that the others can do without it.

    ApplyError, before anything is touched, where they can't now, and MachineError where nobody can switch it off. While
    there is no cluster yet, nobody has to. ``former`` are the machines of a platform that is being changed: what is
    made beside them isn't there yet, and not waited for. One of them that is made once more is missed until it is.
    """
    from groundplane.machines.base import switch_of

    if not plan.restarted:
        return {}
    switch_of(provider, design.topology.name)
    if not all([await step.probe(provider.transport) for step in design.steps if step.founds]):
        return dict.fromkeys(plan.restarted, ())
    new = {birth.machine for birth in plan.births if former and birth.machine not in former}
    there = tuple(machine for machine in design.topology.machines if machine.name not in new)
    standing = replace(design, topology=replace(design.topology, machines=there))
    found = {name: standing.without(name) for name in plan.restarted}
    for name, checks in found.items():
        await require(checks, provider, name, emit)
    return found


async def require(checks: Sequence[Check], provider: Provider, machine: str, emit: Emit) -> None:
    """ApplyError where any of ``checks``, that others can do without ``machine``, doesn't hold."""
    from groundplane.verify import run_checks

    report = await run_checks(checks, provider.transport, emit)
    for result in report.broken:
        raise ApplyError(
            f"it can't be spared now: {result.title}: not so",
            where=machine,
            hint=f"nothing was touched; {result.remedy}",
            detail=f"{result.name}: {result.seen}",
        )


def _met(topology: Topology, status: MachineStatus, former: Machine | None) -> Machine:
    """A machine that the file doesn't have, as far as its provider remembers it, or we do."""
    known = status.identity
    if known is None and former is not None:
        return former
    return Machine(
        name=status.name,
        roles=known.roles if known else (Role.WORKER,),
        mac=known.mac if known else "",
        address=known.address if known else topology.lan.range.network_address,
        cpus=0,
        memory=0,
        fqdn=f"{status.name}.{topology.lan.domain}",
    )
