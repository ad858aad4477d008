"""``replace``: make a machine anew under its name, whatever it is and whether or not it still answers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace as with_
from typing import TYPE_CHECKING

from groundplane.errors import ApplyError, UsageError
from groundplane.recipes.acts import acts
from groundplane.recipes.common import (
    Options,
    blueprints_of,
    designed,
    known_machine,
    lasting_secrets,
    material_for,
    provider_for,
    remember_material,
    require_built,
    shown_secrets,
    unchanged,
    wanted,
    working,
)
from groundplane.recipes.looking import leaving, proposed, require, spared

if TYPE_CHECKING:
    from groundplane.design import Design
    from groundplane.events import Emit
    from groundplane.machines.base import Provider
    from groundplane.rollout.plan import Plan
    from groundplane.spec import ClusterSpec
    from groundplane.store import Store
    from groundplane.topology.model import Secrets
    from groundplane.verify import Report


async def replace(options: Options, names: Sequence[str]) -> Report:
    """Make each machine of ``names`` anew, one after the other, as the file says now; verify the platform.

    What the machine held goes with it: another one of its name takes its place and gets from the others what they have.
    Running it again after an interruption goes on with what was made anew before it; one whose making failed is made
    once more. Raises ApplyError, before anything is touched, where the others couldn't carry on without it.
    """
    from groundplane.verify import run_checks

    file = wanted(options).spec
    with working(options, file, f"replace {' '.join(names)}") as (store, emit, journal):
        design = _with_them(file, store, names, lasting_secrets)
        provider = provider_for(design, store, emit)
        await provider.prepare()
        for name in dict.fromkeys(names):
            await make_anew(design, provider, store, options, emit, name, names)
        report = await run_checks(design.checks, provider.transport, emit)
        store.set_verified(report.ok)
        store.set_replaced(())
        journal.fault = report.fault
        return with_(report, changed=True)


def started_for(options: Options, names: Sequence[str]) -> tuple[str, ...]:
    """The machines besides ``names`` that are off, and that `replace` would start: what is made anew leans on others,
    and the platform is verified afterwards. Raises where the platform or a machine isn't there, or the file is another.
    """
    from groundplane.machines.base import Power
    from groundplane.store import Store

    file = wanted(options).spec
    store = Store(options.home, file.name)
    design = _with_them(file, store, names, shown_secrets)
    off = {one.name for one in provider_for(design, store, options.emit).status() if one.power is Power.OFF}
    return tuple(one.name for one in design.topology.machines if one.name in off - set(names))


def _with_them(file: ClusterSpec, store: Store, names: Sequence[str], secrets: Callable[[Store], Secrets]) -> Design:
    """The platform as it stands and as its file says, with all of ``names``."""
    require_built(store)
    spec, _ = store.settled(file)
    unchanged(store, spec, "replace machines")
    design = designed(spec, store, secrets(store))
    for name in names:
        known_machine(design.topology, name)
    return design


async def make_anew(
    design: Design, provider: Provider, store: Store, options: Options, emit: Emit, name: str, names: Sequence[str]
) -> None:
    """Make ``name`` anew, one of ``names`` that are to be."""
    from groundplane.rollout import carry_out
    from groundplane.rollout.apply import refuse

    def gone(machine: str) -> None:
        store.set_replaced({*store.replaced(), machine})

    anew = () if name in store.replaced() else (name,)
    seen = await proposed(design, provider, emit=options.emit, anew=anew)
    if others := [birth.machine for birth in seen.births if birth.machine not in names]:
        raise ApplyError(
            f"there are machines of the file that aren't there: {', '.join(others)}",
            where=store.name,
            hint="nothing was touched; make them with `groundplane apply`, then replace others",
        )
    proposal = _only(seen, name, names)
    refuse(proposal)
    if proposal.births:
        await _spare(design, provider, name, emit)
    sparing = await spared(design, provider, proposal, emit)
    # The others get today's programs by an apply, which shows them.
    material, design = await material_for(design, options, emit, store.images())
    remember_material(store, material)
    store.set_verified(False)
    if not proposal.removals:
        gone(name)
    provider = provider_for(design, store, emit, material)
    going = [one for one in leaving(design, provider, anew) if one.machine.name == name]
    work = acts(design, provider, proposal, going, blueprints_of(design), emit, removed=gone, spared=sparing)
    try:
        await carry_out(work, provider.transport, emit)
    except Exception:
        store.set_replaced(store.replaced() - {name})  # what failed may be what was made
        raise


def _only(seen: Plan, name: str, names: Sequence[str]) -> Plan:
    """What of ``seen`` is about ``name``, and whoever else can't be asked though nobody replaces it; what differs
    besides is the affair of an apply."""
    silent = tuple((machine,) for machine in seen.machines if machine.problem and machine.machine not in names)
    return with_(
        seen,
        batches=silent,
        births=tuple(birth for birth in seen.births if birth.machine == name),
        removals=tuple(removal for removal in seen.removals if removal.machine == name),
    )


async def _spare(design: Design, provider: Provider, name: str, emit: Emit) -> None:
    """ApplyError where the others can't do without ``name`` now."""
    if [machine.name for machine in design.topology.control_planes] == [name]:
        raise UsageError(
            f"{name} is the only control plane: everything the cluster knows would go with it",
            hint="take three control planes into the cluster file, `groundplane apply`, then replace it",
        )
    await require(design.without(name), provider, name, emit)
