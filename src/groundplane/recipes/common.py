"""What the recipes share: options, the platform as it is remembered, its design, its ground, and what it is built of.

Rooms that are heavy to load are imported where they are used: `validate` answers at once.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from functools import partial
from hashlib import sha256
from pathlib import Path
from threading import Event as Flag
from typing import TYPE_CHECKING, TypeVar

from groundplane.errors import FileChanged, GroundplaneError, LockHeld, MachineError, StoreError, UsageError
from groundplane.events import Emit, silent, tee
from groundplane.software import Image, Program, known_versions, software_of
from groundplane.spec import ClusterSpec, InvalidCluster, load

if TYPE_CHECKING:
    from groundplane.bundle.bundle import Bundle
    from groundplane.bundle.sources import Mirrors, SourceName
    from groundplane.design import Design
    from groundplane.machines.base import Blueprint, Material, Provider, Tree
    from groundplane.spec.model import ProviderName
    from groundplane.store import Home, Recorder, Store
    from groundplane.topology.model import Machine, Secrets, Topology

T = TypeVar("T")


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


def validate(file: Path, built: Sequence[ClusterSpec] = ()) -> ClusterSpec:
    """Read the cluster file; SpecError with every problem at once. ``built``: see ``spec.load``."""
    return load(file, name=str(file), versions=known_versions(), built=built)


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a file asks for. ``borne``: what would be wrong with it, had its platform not been built with just that."""

    spec: ClusterSpec
    borne: InvalidCluster | None = None


def wanted(options: Options) -> Wanted:
    """The cluster file, to be brought about; SpecError with every problem at once.

    A platform that an older groundplane built may have names that are refused today, and can't get others: with them it
    is kept.
    """
    from groundplane.store import Store

    try:
        return Wanted(validate(options.file))
    except InvalidCluster as error:
        if not error.platform:
            raise
        store = Store(options.home, error.platform)
        built = tuple(filter(None, (store.remembered_spec(), store.intended_spec())))
        if not built:
            raise
        return Wanted(validate(options.file, built), error)


@dataclass(frozen=True, slots=True)
class Named:
    """The platform a file names, and where its machines come from. ``fault``: what has become wrong with the file since
    the platform was built; ``borne``: see ``Wanted``."""

    name: str
    provider: ProviderName
    fault: InvalidCluster | None = None
    borne: InvalidCluster | None = None


def named(options: Options) -> Named:
    """The platform the file names, for working on one that stands: all else was remembered when it was built.

    InvalidCluster where the file is at fault and doesn't name a platform that is there.
    """
    from groundplane.spec.providers import DEFAULT
    from groundplane.store import Store

    try:
        found = wanted(options)
    except InvalidCluster as error:
        if not error.platform or not (store := Store(options.home, error.platform)).exists:
            raise
        built = store.remembered_spec()
        return Named(error.platform, built.provider if built else DEFAULT, error)
    return Named(found.spec.name, found.spec.provider, borne=found.borne)


@contextmanager
def working(options: Options, spec: ClusterSpec, command: str) -> Iterator[tuple[Store, Emit, Recorder]]:
    """Hold the platform's lock and keep a journal of what happens in the block."""
    from groundplane.store import Store

    store = Store(options.home, spec.name)
    with store.lock(command), journaled(options, store, command) as (emit, journal):
        yield store, emit, journal


@contextmanager
def journaled(options: Options, store: Store, command: str) -> Iterator[tuple[Emit, Recorder]]:
    """Keep a journal of what happens in the block. Ask only under the platform's lock."""
    from groundplane.store import recorded

    digest = sha256(options.file.read_bytes()).hexdigest()
    with recorded(options.home, store.name, command, digest) as journal:
        yield tee(options.emit, journal), journal


def designed(spec: ClusterSpec, store: Store, secrets: Secrets, images: bytes | None = None) -> Design:
    """Lay the platform out on its ground, as it is remembered, and ask every component. ``images`` is the index of the
    user's own images; None: that is remembered too."""
    from groundplane.bundle.images import images_of
    from groundplane.design import design
    from groundplane.machines.catalog import kind_of
    from groundplane.oci.layout import REFERENCE
    from groundplane.topology import lay_out

    traits = store.traits(kind_of(spec.provider).traits)
    index = store.images() if images is None else images
    own = tuple(Image(image.annotation(REFERENCE), image.digest) for image in images_of(index))
    software = replace(software_of(spec.kubernetes.version), programs=store.programs(), own_images=own)
    topology = lay_out(spec, secrets, traits, software)
    return design(replace(topology, balancer_numbers=store.balancer_numbers()))


def former_machines(design: Design, store: Store) -> Mapping[str, Machine]:
    """The machines of the file the platform was built from, by name: their provider may remember less of them than we
    do, where an older groundplane made them."""
    from groundplane.topology import lay_out

    built, topology = store.remembered_spec(), design.topology
    if built is None:
        return {}
    laid_out = lay_out(built, topology.secrets, topology.traits, topology.software)
    return {machine.name: machine for machine in laid_out.machines}


def remember_ground(store: Store, design: Design, *, settled: bool = True) -> None:
    """Keep what was found or given out once and goes into every design to come. Unless all is ``settled``, machines
    that the design doesn't have may be there still."""
    from groundplane.components.corosync.fragment import node_id

    topology = design.topology
    numbers = {balancer.name: node_id(topology, balancer) for balancer in topology.balancers}
    store.remember_traits(topology.traits)
    store.remember_balancer_numbers(numbers if settled else {**topology.balancer_numbers, **numbers})


def made_secrets(spec: ClusterSpec, store: Store) -> Secrets:
    """The platform's secrets, made where the platform isn't there yet; StoreError where they are lost."""
    from groundplane.topology.pki import make_secrets

    if store.remembered_spec() is not None:
        return lasting_secrets(store)
    if (known := store.known_secrets()) is not None:
        return known
    secrets = make_secrets(spec)
    # The file may be forgotten as well: then its machines tell that there is a platform.
    provider = provider_for(designed(spec, store, secrets), store, silent)
    if any(machine.identity for machine in provider.status()):
        raise _lost(store)
    return store.secrets(lambda: secrets)


def shown_secrets(store: Store) -> Secrets:
    """As ``lasting_secrets``, for who only looks; while somebody works on the platform, as they are remembered."""
    from groundplane.topology.pki import renew_leaves

    known = kept_secrets(store)
    if renew_leaves(require_built(store), known) is known:
        return known  # and nobody is kept from the platform meanwhile
    try:
        with store.lock("plan"):
            return lasting_secrets(store)
    except LockHeld:
        return kept_secrets(store)


def lasting_secrets(store: Store) -> Secrets:
    """The secrets of a platform that was built, with certificates that last: those near their end are made anew and
    kept at once, so that what a plan shows is what is brought about. Ask only under the platform's lock: what somebody
    is laying on machines must be what is remembered."""
    from groundplane.topology.pki import renew_leaves

    known = kept_secrets(store)
    renewed = renew_leaves(require_built(store), known)
    if renewed is not known:
        store.keep_secrets(renewed)
    return renewed


def kept_secrets(store: Store) -> Secrets:
    """The secrets of a platform that was built. They can't be made again: its machines know these and no others."""
    if (known := store.known_secrets()) is None:
        raise _lost(store)
    return known


def _lost(store: Store) -> StoreError:
    return StoreError(
        "the platform's keys and certificates are lost",
        where=str(store.folder / "secrets.json"),
        hint="nothing was touched; put the file back from a copy. Without it the platform runs on, until its "
        "certificates end, but can't be looked at or changed from here; `groundplane down` removes it",
    )


def passing_secrets(spec: ClusterSpec, store: Store) -> Secrets:
    """The platform's secrets, or others that nothing remembers: for what only needs to know its machines."""
    from groundplane.topology.pki import make_secrets

    return store.known_secrets() or make_secrets(spec)


async def own_images(store: Store, options: Options, emit: Emit) -> bytes:
    """The index of the user's own images, those of ``options`` taken into the cache and added."""
    from groundplane.bundle.images import take_images

    known = store.images()
    if not options.extra_images:
        return known
    cache = options.home.prepared_cache() / "bundle"
    return await cancellable(partial(take_images, options.extra_images, cache, emit, known=known))


async def gathered(design: Design, options: Options, emit: Emit, images: bytes) -> Material:
    """Get what the platform's machines are made of, the bundle's part and the base image side by side. ``images`` is
    the index of the user's own images."""
    from groundplane import image
    from groundplane.machines.base import Material, Tree
    from groundplane.machines.catalog import kind_of

    spec = design.topology.spec
    wanted = kind_of(spec.provider).material

    async def imaged() -> Mapping[Tree, Path]:
        if Tree.ROOT not in wanted:
            return {}
        return {Tree.ROOT: (await image.build(spec.image, design.packages, options.home.prepared_cache(), emit)).path}

    async with asyncio.TaskGroup() as group:
        bundling = group.create_task(_bundled(spec, options, emit, images, wanted - {Tree.ROOT}))
        imaging = group.create_task(imaged())
    trees, programs = bundling.result()
    return Material({**imaging.result(), **trees}, programs)


async def material_for(design: Design, options: Options, emit: Emit, images: bytes) -> tuple[Material, Design]:
    """As ``gathered``, and ``design`` made of its programs: see ``made_of``."""
    material = await gathered(design, options, emit, images)
    return material, made_of(design, material.programs)


def made_of(design: Design, programs: Sequence[Program]) -> Design:
    """``design`` with programs that hold just this; itself where they do already, or nobody knows (none)."""
    from groundplane.design import design as designed_anew

    topology = design.topology
    if not programs or set(programs) == set(topology.software.programs):
        return design
    return designed_anew(replace(topology, software=replace(topology.software, programs=tuple(programs))))


def programs_at_hand(design: Design, options: Options) -> tuple[Program, ...]:
    """What the programs hold that machines would be made of today, where the cache has today's bundle; else nobody
    knows before it was got."""
    from groundplane.bundle.obtain import cached_bundle
    from groundplane.bundle.versions import load_versions
    from groundplane.machines.base import Tree
    from groundplane.machines.catalog import kind_of

    spec = design.topology.spec
    if Tree.SOFTWARE not in kind_of(spec.provider).material:
        return ()
    bundle = cached_bundle(load_versions(spec.kubernetes.version), options.home.cache / "bundle")
    return _programs(bundle) if bundle else ()


def remember_material(store: Store, material: Material) -> None:
    """Keep what the programs hold that machines are about to be made of."""
    if material.programs:
        store.remember_programs(material.programs)


async def _bundled(
    spec: ClusterSpec, options: Options, emit: Emit, images: bytes, wanted: frozenset[Tree]
) -> tuple[Mapping[Tree, Path], tuple[Program, ...]]:
    """Those of the bundle's trees that are ``wanted``, and what its programs hold where that tree is among them; where
    none is, no bundle is got either."""
    from groundplane.bundle.images import images_of
    from groundplane.bundle.obtain import obtain
    from groundplane.bundle.sources import OFFICIAL
    from groundplane.bundle.trees import registry_tree, software_tree
    from groundplane.machines.base import Tree

    if not wanted:
        return {}, ()
    debian = spec.image.mirror or "" if spec.image.distribution == "debian" else ""
    bundle = await cancellable(
        partial(
            obtain,
            spec.kubernetes.version,
            cache=options.home.prepared_cache() / "bundle",
            source=options.bundle_source,
            file=options.bundle_file,
            mirrors=replace(options.bundle_mirrors or OFFICIAL, debian=debian),
            emit=emit,
        )
    )
    made: Mapping[Tree, Callable[..., Path]] = {
        Tree.SOFTWARE: partial(software_tree, bundle),
        Tree.REGISTRY: partial(registry_tree, bundle, own=images_of(images)),
    }
    programs = _programs(bundle) if Tree.SOFTWARE in wanted else ()
    return {tree: await cancellable(make) for tree, make in made.items() if tree in wanted}, programs


def _programs(bundle: Bundle) -> tuple[Program, ...]:
    return tuple(Program(binary.path, binary.digest, binary.size) for binary in bundle.binaries)


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
    from groundplane.machines.catalog import kind_of

    return kind_of(design.topology.spec.provider).provider(design.topology, material, store.folder, emit)


def require_built(store: Store) -> ClusterSpec:
    """What the platform was built from, or is being changed to; MachineError where there is none."""
    if (built := store.intended_spec() or store.remembered_spec()) is None:
        raise MachineError(f"there is no platform {store.name}", hint="build it with `groundplane up`")
    return built


def unchanged(store: Store, spec: ClusterSpec, then: str) -> None:
    """FileChanged where the platform isn't what ``spec`` says, or is on its way to become another one; ``then`` is what
    somebody wanted to do."""
    if store.changes(spec) or store.intended_spec():
        raise FileChanged(
            "the cluster file has changed since the platform was built",
            where=store.name,
            hint=f"bring that about first with `groundplane apply`, then {then}",
        )


def existing(options: Options) -> tuple[Design, Provider]:
    """The platform the file names, as it was built or is being changed to; MachineError where there is none."""
    from groundplane.store import Store

    return _existing(Store(options.home, named(options).name), options.emit)


@contextmanager
def held(options: Options, command: str) -> Iterator[tuple[Store, Design, Provider]]:
    """As ``existing``, with the platform's lock held in the block: whoever worked on it until now may have made another
    one of it. What is refused here is in no journal."""
    from groundplane.store import Store

    store = Store(options.home, named(options).name)
    require_built(store)  # where there is none, no lock is made either
    with store.lock(command):
        yield store, *_existing(store, options.emit)


def _existing(store: Store, emit: Emit) -> tuple[Design, Provider]:
    design = designed(require_built(store), store, kept_secrets(store))
    return design, provider_for(design, store, emit)


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
