"""``drill``: break something real, measure what clients notice, and mend it."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from groundplane.errors import ApplyError
from groundplane.recipes.common import Options, blueprints_of, existing, gathered, provider_for, working
from groundplane.recipes.looking import proposed

if TYPE_CHECKING:
    from groundplane.design import Design
    from groundplane.drill import Suite
    from groundplane.machines.base import Provider


async def drill(options: Options, name: str) -> Suite:
    """Break what drill ``name`` breaks (``all``: each that can be done here, one after the other), and measure."""
    from groundplane.drill import chosen, ground_of, run_drills

    design, _ = existing(options)
    drills, refused = chosen(name, design.topology)
    with working(options, design.topology.spec, f"drill {name}") as (store, emit, journal):
        provider = provider_for(design, store, emit, await gathered(design, options, emit, store.images()))
        await provider.prepare()
        offer = partial(_offered, design, provider)
        ground = ground_of(design.topology, provider, blueprints_of(design), design.checks, offer)
        store.set_verified(False)  # until all drills have left a whole platform behind
        suite = await run_drills(drills, refused, ground, emit)
        store.set_verified(not suite.stopped and suite.reports[-1].checks.ok)
        journal.fault = suite.stopped or ", ".join(f"{report.name} failed" for report in suite.reports if not report.ok)
        return suite


async def _offered(design: Design, provider: Provider, machine: str, path: str, content: bytes) -> str:
    """Begin an apply in which a machine's file has another ``content``, up to where the first machine would be touched;
    why it was refused, empty where it was not.

    Of the platform only that machine is looked at: a small computer that looks at all of them keeps clients waiting.
    """
    from groundplane.rollout.apply import refuse

    state = next(state for state in design.states if state.machine == machine)
    files = tuple(replace(file, content=content) if file.path == path else file for file in state.files)
    try:
        refuse(await proposed(replace(design, states=(replace(state, files=files),), steps=()), provider))
    except ApplyError as error:
        return "\n".join(filter(None, (str(error), error.detail)))
    return ""
