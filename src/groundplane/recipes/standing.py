"""A platform that stands: seen, reached, switched on and off."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

from groundplane.errors import LockHeld, UsageError
from groundplane.events import Noticed, reported
from groundplane.recipes.acts import boot
from groundplane.recipes.common import (
    Options,
    blueprints_of,
    existing,
    gathered,
    held,
    journaled,
    known_machine,
    named,
    provider_for,
)
from groundplane.recipes.looking import LOOK

if TYPE_CHECKING:
    from groundplane.design import Design
    from groundplane.events import Emit
    from groundplane.machines.base import Provider
    from groundplane.recipes.way_in import Kubectl
    from groundplane.status import PlatformStatus
    from groundplane.store import Store
    from groundplane.topology.model import Secret
    from groundplane.verify import Report

PATIENCE: Final = 10.0
"""Seconds for which whoever works on a platform is waited for, to remember that a verify ended badly."""


async def verify(options: Options, only: Sequence[str] = ()) -> Report:
    """Run the checks, or those named ``only``, on the platform as it is, and remember whether they held."""
    from groundplane.store import Store
    from groundplane.verify import run_checks

    store = Store(options.home, named(options).name)
    begun = store.verdict()
    design, provider = existing(options)
    if unknown := sorted(set(only) - {check.name for check in design.checks}):
        names = ", ".join(check.name for check in design.checks)
        raise UsageError(f"no such check: {', '.join(unknown)}", hint=f"there are: {names}")
    chosen = [check for check in design.checks if not only or check.name in only]
    report = await run_checks(chosen, provider.transport, options.emit)
    if not (only and report.ok):  # a part that holds says nothing of the rest
        await _remember(store, begun, report.ok, options.emit)
    return report


async def _remember(store: Store, begun: object, ok: bool, emit: Emit) -> None:
    """Remember how a verify ended, or tell that it can't be, for somebody works on the platform. ``begun`` was the
    verdict when it began.

    Not everybody who does verifies it afterwards, so where it ended badly they are waited for; what they find well
    meanwhile is newer. That it was well says nothing of it as they leave it, nor as they left it since it began.
    """
    clock = asyncio.get_running_loop().time
    seen, end = begun if ok else store.verdict(), clock() + (0 if ok else PATIENCE)
    while True:
        try:
            with store.lock("verify"):
                if store.exists and store.verdict() == seen:
                    store.set_verified(ok)
                return
        except LockHeld as held:
            if clock() >= end:
                emit(Noticed("verify", "checks", note=f"not remembered, {held.what}"))
                return
        await asyncio.sleep(0.5)


async def power(options: Options, on: bool, names: Sequence[str] = (), *, force: bool = False) -> None:
    """Start or stop machines that exist, at once: those of ``names``, or all of them.

    Who starts stands on what it stood on before, as after a power cut: today's bundle and base image are got only where
    something of that is gone from the cache. Those that are there and not in the file can be stopped, but not started:
    nothing says any more what they are.
    """
    from groundplane.machines.base import switch_of

    command = "start" if on else "stop"
    with held(options, command) as (store, design, provider):
        ours = [machine.name for machine in design.topology.machines]
        strangers = [] if on else _strangers(design, provider)
        known = [one if one in strangers else known_machine(design.topology, one) for one in names]
        chosen = known or [*ours, *strangers]
        with journaled(options, store, command) as (emit, _):
            if on:
                await _start(design, store, options, emit, chosen)
                return
            switch = switch_of(provider, design.topology.name)
            async with asyncio.TaskGroup() as group:
                for name in chosen:
                    group.create_task(switch.stop(name, force=force))


def _strangers(design: Design, provider: Provider) -> list[str]:
    """The machines that are there and that the file doesn't have, or doesn't have any more."""
    ours = {machine.name for machine in design.topology.machines}
    return [one.name for one in provider.status() if one.exists and one.name not in ours]


def _there(design: Design, provider: Provider, name: str) -> str:
    """``name``, if a machine bears it, though it be one that the file doesn't have any more; UsageError otherwise."""
    return name if name in _strangers(design, provider) else known_machine(design.topology, name)


async def _start(design: Design, store: Store, options: Options, emit: Emit, names: Sequence[str]) -> None:
    from groundplane.machines.base import Power
    from groundplane.rollout import carry_out

    provider = today = provider_for(design, store, emit)
    lacking = {one.name for one in provider.status() if one.power is not Power.RUNNING and not one.startable}
    if lacking.intersection(names):
        today = provider_for(design, store, emit, await gathered(design, options, emit, store.images()))
    await provider.prepare()
    blueprints = {blueprint.state.machine: blueprint for blueprint in blueprints_of(design)}
    starts = [boot(today if name in lacking else provider, blueprints[name]) for name in names]
    await carry_out(starts, provider.transport, emit)


async def status(options: Options) -> PlatformStatus:
    """How the platform is right now; a machine that is off or does not answer is part of the answer."""
    from groundplane.status import gather
    from groundplane.store import Store

    design, provider = existing(options)
    verified = Store(options.home, design.topology.name).verified()
    with reported(options.emit, "platform", LOOK, changed=False):
        return replace(await gather(design.topology, provider), verified=verified)


async def kubeconfig(options: Options) -> Secret:
    """The administrator's kubeconfig, for use on this computer."""
    from groundplane.recipes.way_in import way_in

    return await way_in(*existing(options))


async def kubectl(options: Options) -> Kubectl:
    """The platform's own kubectl, and what it needs to reach the platform from this computer."""
    from groundplane.recipes.way_in import prepared

    return await prepared(options)


def ssh(options: Options, machine: str, argv: Sequence[str]) -> int:
    """Run a command (none: a shell) on a machine, at this terminal; return its exit status."""
    design, provider = existing(options)
    return provider.transport.interactive(_there(design, provider, machine), argv)


def console(options: Options, machine: str) -> Path:
    """Where the machine's console is written."""
    from groundplane.machines.base import console_of

    design, provider = existing(options)
    return console_of(provider, design.topology.name).console(_there(design, provider, machine))
