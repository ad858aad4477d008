"""The recipe: from a cluster file to a verified platform. The only module that sees all the rooms at once.

Rooms that are heavy to load are imported where they are used: `validate` answers at once.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from groundplane.errors import UsageError
from groundplane.events import reported
from groundplane.pieces import (
    LOOK,
    Options,
    blueprints_of,
    boots,
    designed,
    existing,
    foreseen,
    gathered,
    jobs,
    known_machine,
    machine_boot,
    named,
    offered,
    own_images,
    proposed,
    provider_for,
    require_built,
    validate,
    working,
)
from groundplane.spec import ClusterSpec

if TYPE_CHECKING:
    from groundplane.drill import Suite
    from groundplane.kubectl import Kubectl
    from groundplane.rollout.apply import Applied
    from groundplane.rollout.plan import Plan
    from groundplane.status import PlatformStatus
    from groundplane.topology.model import Secret
    from groundplane.verify import Report


__all__ = [
    "Options",
    "apply",
    "console",
    "down",
    "drift",
    "drill",
    "existing",
    "kubeconfig",
    "kubectl",
    "named",
    "plan",
    "power",
    "render",
    "ssh",
    "status",
    "up",
    "validate",
    "verify",
    "watch_drift",
]


async def up(options: Options) -> Report:
    """Build the platform, or finish building it, or find that nothing is to be done; then verify it."""
    from groundplane.rollout import run_jobs
    from groundplane.verify import Report, run_checks

    spec = validate(options.file)
    with working(options, spec, "up") as (store, emit, journal):
        store.claim(spec)
        design = designed(spec, store)
        emit(foreseen(design))
        images = await own_images(store, options, emit)
        provider = provider_for(design, store, emit, await gathered(design, options, emit, images))
        await provider.prepare()
        if images != store.images():
            # Its registry's storage is mounted when it starts: a running gateway would go on serving what it had.
            await provider.stop(design.topology.gateway.name)
            store.remember_images(images)
        verified = store.verified()
        store.set_verified(False)  # from here on, until the checks have passed, however this run ends
        changed = await run_jobs(jobs(design, provider), emit)
        if verified and not changed:
            store.set_verified(True)
            return Report((), changed=False)
        report = await run_checks(design.checks, provider.transport, emit)
        store.set_verified(report.ok)
        journal.fault = report.fault
        return replace(report, changed=changed)


async def plan(options: Options) -> Plan:
    """What `apply` would do to make the platform as its file says. Pure reading."""
    from groundplane.store import Store

    spec = validate(options.file)
    store = Store(options.home, spec.name)
    require_built(store)
    edits = store.live_changes(spec)
    design = designed(spec, store)
    return await proposed(design, provider_for(design, store, options.emit), edits, options.emit)


async def apply(options: Options, agreed: Plan | None = None) -> Applied:
    """Make the platform as its file says, touching only what differs, in an order that keeps it serving; verify it.

    ``agreed`` is the plan somebody agreed to: nothing is done where it has come to be another one since.
    """
    from groundplane.rollout import run_jobs
    from groundplane.rollout.apply import Applied, Watch, apply_changes, refuse
    from groundplane.rollout.link import AgentLink
    from groundplane.verify import run_checks

    spec = validate(options.file)
    with working(options, spec, "apply") as (store, emit, journal):
        require_built(store)
        edits = store.live_changes(spec)
        design = designed(spec, store)
        provider = provider_for(design, store, emit)
        proposal = await proposed(design, provider, edits, options.emit)
        refuse(proposal, agreed)
        if proposal.empty:
            return Applied(proposal)
        store.adopt(spec)
        store.set_verified(False)
        provider = provider_for(design, store, emit, await gathered(design, options, emit, store.images()))
        await provider.prepare()
        await run_jobs(boots(design, provider), emit)
        if any(machine.off for machine in proposal.machines):  # what else differs there is seen only now
            proposal = await proposed(design, provider, edits, options.emit)
            refuse(proposal)
        link = AgentLink(provider.transport)
        states = {state.machine: state for state in design.states}
        watch = Watch(
            before=lambda machine: design.spares(machine.machine),
            after=lambda machine: design.checks_after(machine.machine, [change.key for change in machine.changes]),
        )
        changes = await apply_changes(
            proposal, lambda machine, told: link.bring(states[machine], told), watch, provider.transport, emit
        )
        await run_jobs(jobs(design, provider), emit)
        report = await run_checks(design.checks, provider.transport, emit)
        store.set_verified(report.ok)
        journal.fault = report.fault
        return Applied(proposal, changes, report)


async def drift(options: Options) -> Plan:
    """How the platform differs from what it was built as, whatever its file says now. Pure reading."""
    design, provider = existing(options)
    return await proposed(design, provider, emit=options.emit)


async def watch_drift(options: Options, every: float, seen: Callable[[Plan], None]) -> None:
    """Tell ``seen`` how the platform differs, again and again with ``every`` seconds in between, until cancelled."""
    while True:
        seen(await drift(options))
        await asyncio.sleep(every)


async def down(options: Options) -> bool:
    """Remove the platform: machines, networks, secrets. Caches and the journal stay. False: there was nothing of it.

    Where nothing is remembered, this computer is searched: a lost state folder leaves a running platform behind.
    """
    bare = ClusterSpec(name=named(options).name)
    with working(options, bare, "down") as (store, emit, _):
        provider = provider_for(designed(store.remembered_spec() or bare, store, remember=False), store, emit)
        if not store.exists and not provider.remains():
            return False
        await provider.destroy()
        store.forget()
        return True


async def verify(options: Options, only: Sequence[str] = ()) -> Report:
    """Run the checks, or those named ``only``, on the platform as it is."""
    from groundplane.verify import run_checks

    design, provider = existing(options)
    if unknown := sorted(set(only) - {check.name for check in design.checks}):
        names = ", ".join(check.name for check in design.checks)
        raise UsageError(f"no such check: {', '.join(unknown)}", hint=f"there are: {names}")
    chosen = [check for check in design.checks if not only or check.name in only]
    return await run_checks(chosen, provider.transport, options.emit)


async def power(options: Options, on: bool, names: Sequence[str] = (), *, force: bool = False) -> None:
    """Start or stop machines that exist, at once: those of ``names``, or all of them."""
    design, provider = existing(options)
    chosen = [known_machine(design.topology, name) for name in names] or [m.name for m in design.topology.machines]
    with working(options, design.topology.spec, "start" if on else "stop") as (store, emit, _):
        if not on:
            async with asyncio.TaskGroup() as group:
                for name in chosen:
                    group.create_task(provider.stop(name, force=force))
            return
        from groundplane.rollout import run_jobs

        provider = provider_for(design, store, emit, await gathered(design, options, emit, store.images()))
        await provider.prepare()
        blueprints = {blueprint.state.machine: blueprint for blueprint in blueprints_of(design)}
        await run_jobs([machine_boot(name, blueprints[name], provider) for name in chosen], emit)


async def drill(options: Options, name: str) -> Suite:
    """Break what drill ``name`` breaks (``all``: each that can be done here, one after the other), and measure."""
    from groundplane.drill import chosen, ground_of, run_drills

    design, _ = existing(options)
    drills, refused = chosen(name, design.topology)
    with working(options, design.topology.spec, f"drill {name}") as (store, emit, journal):
        provider = provider_for(design, store, emit, await gathered(design, options, emit, store.images()))
        await provider.prepare()
        offer = partial(offered, design, provider)
        ground = ground_of(design.topology, provider, blueprints_of(design), design.checks, offer)
        store.set_verified(False)  # until all drills have left a whole platform behind
        suite = await run_drills(drills, refused, ground, emit)
        store.set_verified(not suite.stopped and suite.reports[-1].checks.ok)
        journal.fault = suite.stopped or ", ".join(f"{report.name} failed" for report in suite.reports if not report.ok)
        return suite


async def status(options: Options) -> PlatformStatus:
    """How the platform is right now; a machine that is off or does not answer is part of the answer."""
    from groundplane.status import gather

    design, provider = existing(options)
    with reported(options.emit, "platform", LOOK, changed=False):
        return await gather(design.topology, provider)


async def kubeconfig(options: Options) -> Secret:
    """The administrator's kubeconfig, for use on this computer."""
    from groundplane.kubectl import way_in

    return await way_in(*existing(options))


async def kubectl(options: Options) -> Kubectl:
    """The platform's own kubectl, and what it needs to reach the platform from this computer."""
    from groundplane.kubectl import prepared

    return await prepared(options)


def ssh(options: Options, machine: str, argv: Sequence[str]) -> int:
    """Run a command (none: a shell) on a machine, at this terminal; return its exit status."""
    design, provider = existing(options)
    return provider.transport.interactive(known_machine(design.topology, machine), argv)


def console(options: Options, machine: str) -> Path:
    """Where the machine's console is written."""
    design, provider = existing(options)
    return provider.console(known_machine(design.topology, machine))


def render(options: Options, out: Path, show_secrets: bool = False) -> tuple[Path, ...]:
    """Write every file of every machine under ``out``, building nothing and remembering nothing."""
    from groundplane.cloudinit import render_tree
    from groundplane.store import Store, put_private

    spec = validate(options.file)
    store = Store(options.home, spec.name)
    design = designed(spec, store, remember=False)
    states = {state.machine: state for state in design.states}
    unmade = store.known_secrets() is None
    tree = render_tree(design.topology, states, show_secrets=show_secrets, unmade=unmade)
    for path, content in tree.items():
        (out / path).parent.mkdir(parents=True, exist_ok=True)
        put_private(out / path, content)
    return tuple(out / path for path in tree)
