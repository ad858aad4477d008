"""The recipe: from a cluster file to a verified platform. The only module that sees all the rooms at once.

Rooms that are heavy to load are imported where they are used: `validate` answers at once.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from functools import partial
from hashlib import sha256
from pathlib import Path
from threading import Event as Flag
from typing import TYPE_CHECKING, TypeVar

from groundplane.bundle.versions import known_versions, load_versions
from groundplane.errors import GroundplaneError, MachineError
from groundplane.events import Emit, Outcome, silent, tee
from groundplane.spec import ClusterSpec, load

if TYPE_CHECKING:
    from groundplane.bundle.sources import SourceName
    from groundplane.design import Design
    from groundplane.drill import Suite
    from groundplane.machines.base import Blueprint, Material, Provider
    from groundplane.rollout import Job
    from groundplane.status import PlatformStatus
    from groundplane.store import Home, Recorder, Store
    from groundplane.topology.model import Secret, Software, Topology
    from groundplane.verify import Report

T = TypeVar("T")

FIRST_BOOT = 300.0
"""Seconds a machine may take from power-on to a finished first boot, on a slow and busy host."""


@dataclass(frozen=True, slots=True)
class Options:
    """What every command is given. Folders default to the XDG ones."""

    file: Path
    state_dir: Path | None = None
    cache_dir: Path | None = None
    emit: Emit = silent
    bundle_source: SourceName = "auto"
    bundle_file: Path | None = None
    extra_images: tuple[Path, ...] = ()

    @property
    def home(self) -> Home:
        from groundplane.store import Home

        return Home.find(self.state_dir, self.cache_dir)


def validate(file: Path) -> ClusterSpec:
    """Read the cluster file; SpecError with every problem at once."""
    return load(file, name=str(file), versions=known_versions())


async def up(options: Options) -> Report:
    """Build the platform, or finish building it, or find that nothing is to be done; then verify it."""
    from groundplane.rollout import run_jobs
    from groundplane.verify import Report, run_checks

    spec = validate(options.file)
    with working(options, spec, "up") as (store, emit, journal):
        store.claim(spec)
        plan = designed(spec, store)
        images = await own_images(store, options, emit)
        provider = provider_for(plan, store, emit, await gathered(plan, options, emit, images))
        await provider.prepare()
        if images != store.images():
            # Its registry's storage is mounted when it starts: a running gateway would go on serving what it had.
            await provider.stop(plan.topology.gateway.name)
            store.remember_images(images)
        verified = store.verified()
        store.set_verified(False)  # from here on, until the checks have passed, however this run ends
        changed = await run_jobs(jobs(plan, provider), emit)
        if verified and not changed:
            store.set_verified(True)
            return Report((), changed=False)
        report = await run_checks(plan.checks, provider.transport, emit)
        store.set_verified(report.ok)
        journal.fault = ", ".join(f"{result.name} failed" for result in report.results if not result.ok)
        return replace(report, changed=changed)


async def down(options: Options) -> None:
    """Remove the platform: machines, networks, secrets. Caches and the journal stay."""
    spec = validate(options.file)
    with working(options, spec, "down") as (store, emit, _):
        if not store.exists:
            return
        await provider_for(designed(store.remembered_spec() or spec, store), store, emit).destroy()
        store.forget()


async def verify(options: Options, only: Sequence[str] = ()) -> Report:
    """Run the checks, or those named ``only``, on the platform as it is."""
    from groundplane.verify import run_checks

    plan, provider = existing(options)
    if unknown := sorted(set(only) - {check.name for check in plan.checks}):
        names = ", ".join(check.name for check in plan.checks)
        raise GroundplaneError(f"no such check: {', '.join(unknown)}", hint=f"there are: {names}")
    chosen = [check for check in plan.checks if not only or check.name in only]
    return await run_checks(chosen, provider.transport, options.emit)


async def power(options: Options, on: bool, names: Sequence[str] = (), *, force: bool = False) -> None:
    """Start or stop machines that exist, at once: those of ``names``, or all of them."""
    plan, provider = existing(options)
    chosen = [known_machine(plan.topology, name) for name in names] or [m.name for m in plan.topology.machines]
    with working(options, plan.topology.spec, f"power {'on' if on else 'off'}") as (store, emit, _):
        if not on:
            async with asyncio.TaskGroup() as group:
                for name in chosen:
                    group.create_task(provider.stop(name, force=force))
            return
        from groundplane.rollout import run_jobs

        provider = provider_for(plan, store, emit, await gathered(plan, options, emit, store.images()))
        await provider.prepare()
        blueprints = {blueprint.state.machine: blueprint for blueprint in blueprints_of(plan)}
        await run_jobs([machine_boot(name, blueprints[name], provider) for name in chosen], emit)


async def drill(options: Options, name: str) -> Suite:
    """Break what drill ``name`` breaks (``all``: each that can be done here, one after the other), and measure."""
    from groundplane.drill import chosen, ground_of, run_drills

    plan, _ = existing(options)
    drills, refused = chosen(name, plan.topology)
    with working(options, plan.topology.spec, f"drill {name}") as (store, emit, journal):
        provider = provider_for(plan, store, emit, await gathered(plan, options, emit, store.images()))
        await provider.prepare()
        ground = ground_of(plan.topology, provider, blueprints_of(plan), plan.checks)
        store.set_verified(False)  # until all drills have left a whole platform behind
        suite = await run_drills(drills, refused, ground, emit)
        store.set_verified(not suite.stopped and suite.reports[-1].checks.ok)
        journal.fault = suite.stopped or ", ".join(f"{report.name} failed" for report in suite.reports if not report.ok)
        return suite


async def status(options: Options) -> PlatformStatus:
    """How the platform is right now; a machine that is off or does not answer is part of the answer."""
    from groundplane.status import gather

    plan, provider = existing(options)
    return await gather(plan.topology, provider)


async def kubeconfig(options: Options) -> Secret:
    """The administrator's kubeconfig, for use on this computer."""
    from groundplane.components.kubeadm.kubeconfig import user_kubeconfig

    plan, provider = existing(options)
    address, port = provider.api_endpoint()
    return await user_kubeconfig(provider.transport, plan.topology, f"https://{address}:{port}")


def ssh(options: Options, machine: str, argv: Sequence[str]) -> int:
    """Run a command (none: a shell) on a machine, at this terminal; return its exit status."""
    plan, provider = existing(options)
    return provider.transport.interactive(known_machine(plan.topology, machine), argv)


def console(options: Options, machine: str) -> Path:
    """Where the machine's console is written."""
    plan, provider = existing(options)
    return provider.console(known_machine(plan.topology, machine))


def kubectl(options: Options, argv: Sequence[str]) -> int:
    """Run kubectl inside, on the first control plane that runs, at this terminal; return its exit status."""
    from groundplane.machines.base import Power

    plan, provider = existing(options)
    running = {entry.name for entry in provider.status() if entry.power is Power.RUNNING}
    for machine in plan.topology.control_planes:
        if machine.name in running:
            command = ("kubectl", "--kubeconfig=/etc/kubernetes/admin.conf", *argv)
            return provider.transport.interactive(machine.name, command)
    raise MachineError("no control plane is running", hint="see `groundplane status`, then run `groundplane up`")


def render(options: Options, out: Path, show_secrets: bool = False) -> tuple[Path, ...]:
    """Write every file of every machine under ``out``, building nothing and remembering nothing."""
    from groundplane.cloudinit import render_tree
    from groundplane.store import Store, write_private

    spec = validate(options.file)
    plan = designed(spec, Store(options.home, spec.name), remember=False)
    tree = render_tree(plan.topology, {state.machine: state for state in plan.states}, show_secrets=show_secrets)
    for path, content in tree.items():
        (out / path).parent.mkdir(parents=True, exist_ok=True)
        write_private(out / path, content)
    return tuple(out / path for path in tree)


# ---- the pieces of the recipe ------------------------------------------------------------------------------------


@contextmanager
def working(options: Options, spec: ClusterSpec, command: str) -> Iterator[tuple[Store, Emit, Recorder]]:
    """Hold the platform's lock and keep a journal of what happens in the block."""
    from groundplane.store import Store, recorded

    store = Store(options.home, spec.name)
    digest = sha256(options.file.read_bytes()).hexdigest()
    with store.lock(command), recorded(options.home, spec.name, command, digest) as journal:
        yield store, tee(options.emit, journal), journal


def designed(spec: ClusterSpec, store: Store, *, remember: bool = True) -> Design:
    """Lay the platform out and ask every component; ``remember`` keeps secrets that had to be made."""
    from groundplane.design import design
    from groundplane.machines.lab.traits import traits
    from groundplane.topology import lay_out
    from groundplane.topology.pki import make_secrets

    known = store.secrets(lambda: make_secrets(spec)) if remember else store.known_secrets()
    return design(lay_out(spec, known or make_secrets(spec), traits(), software=software_of(spec)))


def software_of(spec: ClusterSpec) -> Software:
    """What the bundle of the file's Kubernetes version calls its images."""
    from groundplane.topology.model import Software

    settings = load_versions(spec.kubernetes.version).settings
    return Software(
        kubernetes=spec.kubernetes.version,
        image_repository=settings.image_repository,
        etcd_tag=settings.etcd_tag,
        coredns_repository=settings.coredns_repository,
        coredns_tag=settings.coredns_tag,
        pause_image=settings.pause_image,
        flannel_image=settings.flannel_image,
        probe_image=settings.probe_image,
    )


async def own_images(store: Store, options: Options, emit: Emit) -> bytes:
    """The index of the user's own images, those of ``options`` taken into the cache and added."""
    from groundplane.bundle.images import take_images

    known = store.images()
    if not options.extra_images:
        return known
    cache = options.home.cache / "bundle"
    return await cancellable(partial(take_images, options.extra_images, cache, emit, known=known))


async def gathered(plan: Design, options: Options, emit: Emit, images: bytes) -> Material:
    """Get the bundle and the base image, side by side. ``images`` is the index of the user's own images."""
    from groundplane import image
    from groundplane.bundle.images import images_of
    from groundplane.bundle.sources import Mirrors, obtain
    from groundplane.machines.base import Material

    spec, cache = plan.topology.spec, options.home.cache
    mirrors = Mirrors(debian=spec.image.mirror or "" if spec.image.distribution == "debian" else "")
    async with asyncio.TaskGroup() as group:
        bundling = group.create_task(
            cancellable(
                partial(
                    obtain,
                    spec.kubernetes.version,
                    cache=cache / "bundle",
                    source=options.bundle_source,
                    file=options.bundle_file,
                    mirrors=mirrors,
                    emit=emit,
                )
            )
        )
        imaging = group.create_task(image.build(spec.image, plan.packages, cache, emit))
    bundle, root = bundling.result(), imaging.result()
    return Material(
        root=root.path,
        software=await cancellable(bundle.software_tree),
        registry=await cancellable(partial(bundle.registry_tree, own=images_of(images))),
    )


async def cancellable(work: Callable[..., T]) -> T:
    """Run blocking ``work`` in a thread; when we are cancelled, set its ``cancel`` flag and wait until it has ended."""
    cancel = Flag()
    thread = asyncio.ensure_future(asyncio.to_thread(work, cancel=cancel))
    try:
        return await asyncio.shield(thread)
    except asyncio.CancelledError:
        cancel.set()
        with suppress(GroundplaneError):
            await thread
        raise


def provider_for(plan: Design, store: Store, emit: Emit, material: Material | None = None) -> Provider:
    """The provider the file names; ``material`` only where machines may have to be made."""
    from groundplane.machines.lab.host import require_entry, require_lab
    from groundplane.machines.lab.provider import LabProvider

    if material is None:
        require_entry()
    else:
        require_lab(store.folder)
    return LabProvider(plan.topology, material, store.folder, emit)


def existing(options: Options) -> tuple[Design, Provider]:
    """The platform the file names, as it was built; MachineError where there is none."""
    from groundplane.store import Store

    spec = validate(options.file)
    store = Store(options.home, spec.name)
    if (built := store.remembered_spec()) is None:
        raise MachineError(f"there is no platform {spec.name}", hint="build it with `groundplane up`")
    plan = designed(built, store)
    return plan, provider_for(plan, store, options.emit)


def known_machine(topology: Topology, name: str) -> str:
    """``name``, if a machine bears it."""
    if name in (names := [machine.name for machine in topology.machines]):
        return name
    raise MachineError(f"there is no machine {name}", hint=f"there are: {', '.join(names)}")


def blueprints_of(plan: Design) -> tuple[Blueprint, ...]:
    """Every machine's state with the seed made of it."""
    from groundplane.cloudinit import render_seed
    from groundplane.machines.base import Blueprint

    return tuple(
        Blueprint(state, render_seed(plan.topology, plan.topology.machine(state.machine), state))
        for state in plan.states
    )


def jobs(plan: Design, provider: Provider) -> tuple[Job, ...]:
    """Every machine and every Step, with what each needs. The gateway first: the others' addresses come from it."""
    from groundplane.rollout import step_job

    gateway = plan.topology.gateway.name
    machines = [
        machine_boot(blueprint.state.machine, blueprint, provider, after=gateway) for blueprint in blueprints_of(plan)
    ]
    return (*machines, *(step_job(step, provider.transport) for step in plan.steps))


def machine_boot(name: str, blueprint: Blueprint, provider: Provider, after: str = "") -> Job:
    """The job that brings one machine up: made, started, first boot done."""
    from groundplane.rollout import Job, machine_job

    async def run(outcome: Outcome) -> None:
        outcome.changed = await provider.ensure(name, blueprint)
        await provider.wait_ready(name, deadline=FIRST_BOOT)

    needs = (machine_job(after),) if after not in ("", name) else ()
    return Job(machine_job(name), name, "boot", run, needs)
