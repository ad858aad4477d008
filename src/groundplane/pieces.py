"""The pieces the recipes in ``pipeline.py`` are made of: settle options, design a platform, gather what it is built of.

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
from groundplane.errors import ApplyError, GroundplaneError, MachineError, UsageError
from groundplane.events import Emit, Outcome, Planned, Progress, reported, silent, tee
from groundplane.spec import ClusterSpec, InvalidCluster, load

if TYPE_CHECKING:
    from groundplane.bundle.sources import Mirrors, SourceName
    from groundplane.design import Design
    from groundplane.machines.base import Blueprint, Material, Provider
    from groundplane.rollout import Job
    from groundplane.rollout.plan import Plan
    from groundplane.store import Home, Recorder, Store
    from groundplane.topology.model import Software, Topology

T = TypeVar("T")

LOOK = "look"
"""The step of whoever only looks at the platform."""
BOOT = "boot"
"""The step of a machine that is brought up."""
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
    bundle_mirrors: Mirrors | None = None
    extra_images: tuple[Path, ...] = ()

    @property
    def home(self) -> Home:
        from groundplane.store import Home

        return Home.find(self.state_dir, self.cache_dir)


def validate(file: Path) -> ClusterSpec:
    """Read the cluster file; SpecError with every problem at once."""
    return load(file, name=str(file), versions=known_versions())


@dataclass(frozen=True, slots=True)
class Named:
    """The platform a file names. ``fault``: what has become wrong with the file since the platform was built."""

    name: str
    fault: InvalidCluster | None = None


def named(options: Options) -> Named:
    """The platform the file names, for working on one that stands: all else was remembered when it was built.

    InvalidCluster where the file is at fault and doesn't name a platform that is there.
    """
    from groundplane.store import Store

    try:
        return Named(validate(options.file).name)
    except InvalidCluster as error:
        if not error.platform or not Store(options.home, error.platform).exists:
            raise
        return Named(error.platform, error)


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
    cache = options.home.prepared_cache() / "bundle"
    return await cancellable(partial(take_images, options.extra_images, cache, emit, known=known))


async def gathered(design: Design, options: Options, emit: Emit, images: bytes) -> Material:
    """Get the bundle and the base image, side by side. ``images`` is the index of the user's own images."""
    from groundplane import image
    from groundplane.bundle.images import images_of
    from groundplane.bundle.sources import OFFICIAL, obtain
    from groundplane.machines.base import Material

    spec, cache = design.topology.spec, options.home.prepared_cache()
    debian = spec.image.mirror or "" if spec.image.distribution == "debian" else ""
    mirrors = replace(options.bundle_mirrors or OFFICIAL, debian=debian)
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
        imaging = group.create_task(image.build(spec.image, design.packages, cache, emit))
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


def provider_for(design: Design, store: Store, emit: Emit, material: Material | None = None) -> Provider:
    """The provider the file names; ``material`` only where machines may have to be made."""
    from groundplane.machines.lab.host import require_entry, require_lab
    from groundplane.machines.lab.provider import LabProvider

    if material is None:
        require_entry()
    else:
        require_lab(store.folder)
    return LabProvider(design.topology, material, store.folder, emit)


def require_built(store: Store) -> ClusterSpec:
    """What the platform was built from; MachineError where there is none."""
    if (built := store.remembered_spec()) is None:
        raise MachineError(f"there is no platform {store.name}", hint="build it with `groundplane up`")
    return built


def existing(options: Options) -> tuple[Design, Provider]:
    """The platform the file names, as it was built; MachineError where there is none."""
    from groundplane.store import Store

    store = Store(options.home, named(options).name)
    design = designed(require_built(store), store)
    return design, provider_for(design, store, options.emit)


async def proposed(design: Design, provider: Provider, edits: Sequence[object] = (), emit: Emit = silent) -> Plan:
    """What would have to be done to make the platform as ``design`` says. Pure reading, and none of the journal's
    business."""
    from groundplane.components.everywhere import some
    from groundplane.components.pacemaker.status import holder
    from groundplane.machines.base import Power
    from groundplane.rollout.link import AgentLink
    from groundplane.rollout.look import look, not_holding
    from groundplane.rollout.plan import plan

    reach = provider.transport
    off = frozenset(machine.name for machine in provider.status() if machine.power is not Power.RUNNING)
    waiting = [state.machine for state in design.states if state.machine not in off]

    def wait() -> None:
        emit(Progress("platform", LOOK, note=f"waiting for {some(waiting) or 'the cluster'}"))

    def looked(machine: str) -> None:
        waiting.remove(machine)
        wait()

    with reported(emit, "platform", LOOK, changed=False):
        wait()
        found, steps, active = await asyncio.gather(
            look(design.states, off, AgentLink(reach).observe, looked),
            not_holding(design.steps, off, reach),
            holder(reach, design.topology),
        )
    return plan(
        design.topology,
        found,
        steps,
        edits=[str(edit) for edit in edits],
        holder=active,
        interrupts=design.interrupts,
    )


async def offered(design: Design, provider: Provider, machine: str, path: str, content: bytes) -> str:
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


def known_machine(topology: Topology, name: str) -> str:
    """``name``, if a machine bears it; UsageError otherwise."""
    if name in (names := [machine.name for machine in topology.machines]):
        return name
    raise UsageError(f"there is no machine {name}", hint=f"there are: {', '.join(names)}")


def blueprints_of(design: Design) -> tuple[Blueprint, ...]:
    """Every machine's state with the seed made of it."""
    from groundplane.cloudinit import render_seed
    from groundplane.machines.base import Blueprint

    return tuple(
        Blueprint(state, render_seed(design.topology, design.topology.machine(state.machine), state))
        for state in design.states
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


def jobs(design: Design, provider: Provider) -> tuple[Job, ...]:
    """Every machine and every Step, with what each needs."""
    from groundplane.rollout import step_job

    return (*boots(design, provider), *(step_job(step, provider.transport) for step in design.steps))


def boots(design: Design, provider: Provider) -> tuple[Job, ...]:
    """Every machine's job. The gateway first: the others' addresses come from it."""
    gateway = design.topology.gateway.name
    return tuple(
        machine_boot(blueprint.state.machine, blueprint, provider, after=gateway) for blueprint in blueprints_of(design)
    )


def machine_boot(name: str, blueprint: Blueprint, provider: Provider, after: str = "") -> Job:
    """The job that brings one machine up: made, started, first boot done."""
    from groundplane.rollout import Job, machine_job

    async def run(outcome: Outcome) -> None:
        outcome.changed = await provider.ensure(name, blueprint)
        await provider.wait_ready(name, deadline=FIRST_BOOT)

    needs = (machine_job(after),) if after not in ("", name) else ()
    return Job(machine_job(name), name, BOOT, run, needs)
