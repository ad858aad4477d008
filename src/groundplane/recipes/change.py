"""``plan``, ``apply`` and ``drift``: a standing platform and its file."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from groundplane.recipes.acts import acts
from groundplane.recipes.common import (
    Options,
    blueprints_of,
    designed,
    existing,
    former_machines,
    lasting_secrets,
    made_of,
    material_for,
    named,
    programs_at_hand,
    provider_for,
    remember_ground,
    remember_material,
    require_built,
    shown_secrets,
    wanted,
    working,
)
from groundplane.recipes.looking import leaving, proposed, refuse_parting, spared, with_ailing

if TYPE_CHECKING:
    from groundplane.design import Design
    from groundplane.events import Emit
    from groundplane.machines.base import Provider
    from groundplane.rollout.apply import Applied
    from groundplane.rollout.plan import Leaving, Plan
    from groundplane.spec import ClusterSpec
    from groundplane.state.change import Done
    from groundplane.store import Store
    from groundplane.topology.model import Machine
    from groundplane.verify.check import Check


async def plan(options: Options) -> Plan:
    """What `apply` would do to make the platform as its file says. Pure reading."""
    from groundplane.store import Store

    file = wanted(options).spec
    store = Store(options.home, file.name)
    require_built(store)
    spec, newer = store.settled(file)
    edits = store.live_changes(spec)
    design = designed(spec, store, shown_secrets(store))
    provider = provider_for(design, store, options.emit)
    former = former_machines(design, store)
    found = await proposed(design, provider, edits, options.emit, former=former, verified=store.verified())
    if found.needs_material and (today := made_of(design, programs_at_hand(design, options))) is not design:
        found = await proposed(today, provider, edits, options.emit, former=former, verified=store.verified())
    _refuse_comings_and_goings(design, provider, found, former)
    return replace(found, newer_defaults=tuple(map(str, newer)))


@dataclass(frozen=True, slots=True)
class Brought:
    """A platform that was brought to a specification, and isn't verified yet. ``changes`` were made on machines."""

    design: Design
    provider: Provider
    proposal: Plan
    changes: int = 0


async def apply(options: Options, agreed: Plan | None = None) -> Applied:
    """Make the platform as its file says, touching only what differs, in an order that keeps it serving; verify it.

    ``agreed`` is the plan somebody agreed to: nothing is done where it has come to be another one since.
    """
    from groundplane.rollout.apply import Applied
    from groundplane.verify import run_checks

    file = wanted(options).spec
    with working(options, file, "apply") as (store, emit, journal):
        require_built(store)
        spec, _ = store.settled(file)
        brought = await bring(spec, store, options, emit, agreed)
        if brought.proposal.empty:
            return Applied(brought.proposal)
        report = await run_checks(brought.design.checks, brought.provider.transport, emit)
        store.set_verified(report.ok)
        journal.fault = report.fault
        return Applied(brought.proposal, brought.changes, report)


async def bring(spec: ClusterSpec, store: Store, options: Options, emit: Emit, agreed: Plan | None = None) -> Brought:
    """Make a platform that stands as ``spec`` says, and remember it as that. Raises before anything is touched where it
    can't follow, or can't do just what was ``agreed``; from then on it counts as not verified.

    What is done is decided with the programs that are at hand by then, which may be others than are remembered.
    """
    from groundplane.machines.base import Tree
    from groundplane.rollout import carry_out
    from groundplane.rollout.apply import refuse

    edits = store.live_changes(spec)
    design = designed(spec, store, lasting_secrets(store))
    provider = provider_for(design, store, emit)
    former = former_machines(design, store)

    async def decide(design: Design) -> tuple[Plan, tuple[Leaving, ...], Mapping[str, Sequence[Check]]]:
        proposal = await proposed(design, provider, edits, options.emit, former=former, verified=store.verified())
        # What needs material is compared when that is at hand: whoever agreed may have been shown its programs.
        refuse(proposal, None if proposal.needs_material else agreed)
        going = _refuse_comings_and_goings(design, provider, proposal, former)
        if proposal.empty:
            return proposal, going, {}
        going = await with_ailing(design, provider, going, proposal)
        await refuse_parting(design, provider, going, proposal, emit)
        return proposal, going, await spared(design, provider, proposal, emit, former)

    proposal, going, sparing = await decide(design)
    material = None
    if proposal.needs_material:
        material, today = await material_for(design, options, emit, store.images())
        remembered = proposal
        if today is not design:
            design = today
            proposal, going, sparing = await decide(design)
        refuse(proposal, agreed, remembered)
        remember_material(store, material)
    if proposal.empty:
        if store.intended_spec():  # somebody took back what was begun
            store.adopt(spec)
            remember_ground(store, design)
        return Brought(design, provider, proposal)
    store.intend(spec)
    remember_ground(store, design, settled=False)
    store.set_verified(False)
    software = None
    if material:
        provider, software = provider_for(design, store, emit, material), material.trees.get(Tree.SOFTWARE)
    await provider.prepare()
    made: list[Done] = []
    work = acts(
        design,
        provider,
        proposal,
        going,
        blueprints_of(design),
        emit,
        lambda _, done: made.append(done),
        software,
        spared=sparing,
    )
    await carry_out(work, provider.transport, emit)
    store.adopt(spec)
    remember_ground(store, design)
    return Brought(design, provider, proposal, len(made))


def _refuse_comings_and_goings(
    design: Design, provider: Provider, found: Plan, former: Mapping[str, Machine]
) -> tuple[Leaving, ...]:
    """The machines that leave. Raises where they, or those that come, can't do so in one apply."""
    from groundplane.rollout.apply import refuse_leaving_nobody, refuse_many_balancers, refuse_two_of_one_address

    going = leaving(design, provider, former=former)
    refuse_many_balancers(design.topology, found, former)
    refuse_two_of_one_address(design.topology, found, going)
    refuse_leaving_nobody(design.steps, found)
    return going


async def drift(options: Options) -> Plan:
    """How the platform differs from what it was built as, whatever its file says now. Pure reading."""
    from groundplane.store import Store

    design, provider = existing(options)
    store = Store(options.home, named(options).name)
    return await proposed(design, provider, emit=options.emit, verified=store.verified())


async def watch_drift(options: Options, every: float, seen: Callable[[Plan], None]) -> None:
    """Tell ``seen`` how the platform differs, again and again with ``every`` seconds in between, until cancelled."""
    while True:
        seen(await drift(options))
        await asyncio.sleep(every)
