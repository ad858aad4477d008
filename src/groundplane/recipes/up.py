"""``up``: from a cluster file to a verified platform."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from groundplane.errors import FileChanged
from groundplane.events import Emit, reported
from groundplane.recipes.acts import BOOT, FIRST_BOOT, acts, foreseen
from groundplane.recipes.common import (
    Options,
    blueprints_of,
    designed,
    made_secrets,
    material_for,
    own_images,
    provider_for,
    remember_ground,
    remember_material,
    wanted,
    working,
)
from groundplane.recipes.looking import leaving, proposed, spared

if TYPE_CHECKING:
    from groundplane.design import Design
    from groundplane.machines.base import Provider
    from groundplane.rollout.plan import Plan
    from groundplane.store import Store
    from groundplane.verify import Report
    from groundplane.verify.check import Check


async def up(options: Options) -> Report:
    """Build the platform, or finish building it, or find that nothing is to be done; then verify it."""
    from groundplane.machines.base import Tree
    from groundplane.rollout import carry_out
    from groundplane.rollout.apply import refuse
    from groundplane.verify import Report, run_checks

    file = wanted(options).spec
    with working(options, file, "up") as (store, emit, journal):
        spec, _ = store.settled(file)
        secrets = made_secrets(spec, store)
        store.claim(spec)
        images = await own_images(store, options, emit)
        design = designed(spec, store, secrets, images)
        remember_ground(store, design, settled=not store.intended_spec())
        provider = provider_for(design, store, emit)
        await provider.prepare()
        await _settled(provider, emit)

        async def decide(design: Design) -> tuple[Plan, Mapping[str, Sequence[Check]]]:
            proposal = await proposed(design, provider, emit=options.emit, verified=store.verified())
            refuse(proposal)
            _keep(proposal, store.name)
            return proposal, await spared(design, provider, proposal, emit)

        proposal, sparing = await decide(design)
        given = images != store.images()
        if proposal.empty and not given:
            _reached(store, design)
            return Report((), changed=False)
        emit(foreseen(design))
        software = None
        if proposal.needs_material:
            material, today = await material_for(design, options, emit, images)
            if today is not design:
                design = today
                proposal, sparing = await decide(design)
            remember_material(store, material)
            provider, software = provider_for(design, store, emit, material), material.trees.get(Tree.SOFTWARE)
        if given:  # and not before: what the platform has another one of is refused with the material
            store.remember_images(images)
        store.set_verified(False)  # from here on, until the checks have passed, however this run ends
        work = acts(
            design,
            provider,
            proposal,
            leaving(design, provider),
            blueprints_of(design),
            emit,
            software=software,
            spared=sparing,
        )
        changed = await carry_out(work, provider.transport, emit)
        _reached(store, design)
        report = await run_checks(design.checks, provider.transport, emit)
        store.set_verified(report.ok)
        journal.fault = report.fault
        return replace(report, changed=changed)


def _reached(store: Store, design: Design) -> None:
    """Where an `apply` had begun with another file, that is over: the platform is what it was built from."""
    if store.intended_spec():
        store.adopt(design.topology.spec)
        remember_ground(store, design)


async def _settled(provider: Provider, emit: Emit) -> None:
    """Wait for the first boot of machines that run: an `up` that was killed may have left them in the middle of it."""
    from groundplane.machines.base import Power

    async def wait(name: str) -> None:
        with reported(emit, name, BOOT, changed=False):
            await provider.wait_ready(name, deadline=FIRST_BOOT, strict=False)

    async with asyncio.TaskGroup() as group:
        for machine in provider.status():
            if machine.power is Power.RUNNING:
                group.create_task(wait(machine.name))


def _keep(proposal: Plan, platform: str) -> None:
    """Nothing is removed by who only asked to build."""
    if names := [removal.machine for removal in proposal.removals]:
        raise FileChanged(
            f"there are machines that the cluster file doesn't have: {', '.join(names)}",
            where=platform,
            hint="`groundplane plan` shows what would become of them, `groundplane apply` brings it about",
        )
