"""Looks at a machine, as far as its desired state has to do with it. Changes nothing.

Programs are asked first and answer while the files are read: one question for all packages, one for all units.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace

from groundplane.agent import contents, effects, kernel, packages, systemd
from groundplane.agent.accounts import Accounts, accounts
from groundplane.agent.files import entry
from groundplane.agent.machine import LocalMachine
from groundplane.agent.observed import MountSeen, Observed, PathSeen, VolumeSeen
from groundplane.agent.ours import read_manifest, read_pending
from groundplane.state.derived import MANIFEST, MachineManifest, all_files, all_mounts, all_units
from groundplane.state.model import MachineState


def observe(machine: LocalMachine, state: MachineState) -> Observed:
    """The machine as it is; Problem where it can't be known."""
    manifest, pending = read_manifest(machine), read_pending(machine)
    names = sorted({*(unit.name for unit in all_units(state)), *manifest.units, *manifest.masked})
    units = systemd.ask(machine, names) if names else None
    wanted = [package.name for package in state.packages]
    installed = packages.ask(machine, wanted) if wanted else None
    asked = effects.ask(machine, state.units)
    known = accounts(machine)
    return Observed(
        entries=_with_digests(machine, state, _entries(machine, state, manifest, known)),
        sysctls=kernel.settings(machine, state.sysctls),
        mounts=_mounts(machine, state),
        addresses=kernel.addresses(machine) if state.addresses else frozenset(),
        routers=kernel.routers(machine) if any(address.router for address in state.addresses) else frozenset(),
        host_name=kernel.host_name(machine) if state.host_names else "",
        users=known.seen,
        volumes=_volumes(machine, state),
        manifest=manifest,
        pending=pending,
        packages=packages.answer(installed.wait()) if installed else frozenset(),
        units=systemd.answer(machine, names, units.wait()) if units else {},
        ineffective=effects.missing(asked),
    )


def _entries(
    machine: LocalMachine, state: MachineState, manifest: MachineManifest, known: Accounts
) -> Mapping[str, PathSeen]:
    looked_at = {
        **dict.fromkeys(_others(state, manifest), False),
        **{file.path: not file.initial for file in all_files(state)},
        MANIFEST: True,
    }
    # A folder may well lie elsewhere, behind a link; a file that is ours may not.
    folders = {*(folder.path for folder in state.directories), *(folder.path for folder in state.data_folders)}
    found = ((path, entry(machine, path, known, read=read, follow=path in folders)) for path, read in looked_at.items())
    return {path: each for path, each in found if each is not None}


def _with_digests(
    machine: LocalMachine, state: MachineState, entries: Mapping[str, PathSeen]
) -> Mapping[str, PathSeen]:
    """Of programs that must hold something particular, what they hold; one of another size holds something else."""
    sizes = {artifact.path: artifact.size for artifact in state.artifacts if artifact.digest}
    alike = [path for path, size in sizes.items() if path in entries and entries[path].size == size]
    if not alike:
        return entries
    found = contents.digests(machine, alike)
    return {**entries, **{path: replace(entries[path], digest=digest) for path, digest in found.items()}}


def _others(state: MachineState, manifest: MachineManifest) -> Iterable[str]:
    """Paths that matter by what lies there, not by its content."""
    yield from manifest.files
    yield from manifest.links
    for group in (state.directories, state.data_folders, state.links):
        yield from (resource.path for resource in group)
    for artifact in state.artifacts:
        yield artifact.path


def _mounts(machine: LocalMachine, state: MachineState) -> Mapping[str, MountSeen]:
    return kernel.mounts(machine) if all_mounts(state) else {}


def _volumes(machine: LocalMachine, state: MachineState) -> Mapping[str, VolumeSeen]:
    if not state.volumes:
        return {}
    from groundplane.agent import volumes  # most machines have none

    return volumes.seen(machine, state.volumes)
