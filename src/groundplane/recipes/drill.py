"""``drill``: break something real, measure what clients notice, and mend it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from groundplane.errors import ApplyError
from groundplane.recipes.change import bring
from groundplane.recipes.common import (
    Options,
    blueprints_of,
    gathered,
    held,
    journaled,
    provider_for,
    unchanged,
    wanted,
)
from groundplane.recipes.looking import proposed
from groundplane.recipes.replace import make_anew
from groundplane.spec.addressing import grown

if TYPE_CHECKING:
    from groundplane.design import Design
    from groundplane.drill import Suite
    from groundplane.events import Emit
    from groundplane.machines.base import Provider
    from groundplane.spec import ClusterSpec
    from groundplane.spec.roles import Role
    from groundplane.store import Store


async def drill(options: Options, name: str) -> Suite:
    """Break what drill ``name`` breaks (``all``: each that can be done here, one after the other), and measure."""
    from groundplane.drill import chosen, ground_of, run_drills

    command = f"drill {name}"
    with held(options, command) as (store, design, _):
        drills, refused = chosen(name, design.topology)
        with journaled(options, store, command) as (emit, journal):
            # Got while nothing is broken yet, for who is made anew. Who only loses its power has what it stood on.
            material = await gathered(design, options, emit, store.images())
            provider = provider_for(design, store, emit)
            if not all(one.startable for one in provider.status() if one.exists):
                provider = provider_for(design, store, emit, material)
            await provider.prepare()
            spec, _ = store.settled(wanted(options).spec)
            operator = ByRecipes(design, provider, spec, store, options, emit)
            ground = ground_of(design.topology, provider, blueprints_of(design), design.checks, operator)
            store.set_verified(False)  # until all drills have left a whole platform behind
            suite = await run_drills(drills, refused, ground, emit)
            store.set_verified(not suite.stopped and suite.reports[-1].checks.ok)
            failed = (f"{report.name} failed" for report in suite.reports if not report.ok)
            journal.fault = suite.stopped or ", ".join(failed)
            return suite


@dataclass(slots=True)
class ByRecipes:
    """See ``drill.faults.Operator``: the recipes, as somebody would run them meanwhile."""

    design: Design
    provider: Provider
    spec: ClusterSpec
    store: Store
    options: Options
    emit: Emit
    added: bool = False

    async def offer(self, machine: str, path: str, content: bytes) -> str:
        from groundplane.rollout.apply import refuse

        state = next(state for state in self.design.states if state.machine == machine)
        files = tuple(replace(file, content=content) if file.path == path else file for file in state.files)
        # Of the platform only that machine is looked at: a small computer that looks at all keeps clients waiting.
        offered = replace(self.design, states=(replace(state, files=files),), steps=())
        try:
            refuse(await proposed(offered, self.provider))
        except ApplyError as error:
            return "\n".join(filter(None, (str(error), error.detail)))
        return ""

    async def make_anew(self, machine: str) -> None:
        await make_anew(self.design, self.provider, self.store, self.options, self.emit, machine, (machine,))
        self.store.set_replaced(self.store.replaced() - {machine})

    async def add(self, roles: Sequence[Role]) -> None:
        unchanged(self.store, self.spec, "scale it")
        self.added = True
        await bring(grown(self.spec, roles), self.store, self.options, self.emit)

    async def take_away(self) -> None:
        if self.added:  # else the file may have been changed, and nobody has agreed to that
            await bring(self.spec, self.store, self.options, self.emit)
            self.added = False
