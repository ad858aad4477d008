"""Joins what the components want of one machine. The same thing wanted twice is fine, a contradiction is an error."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import TypeVar

from groundplane.errors import StateError
from groundplane.software import Program
from groundplane.state.derived import HOST_NAME_FILE
from groundplane.state.model import (
    Address,
    Artifact,
    DataFolder,
    Directory,
    File,
    Fragment,
    HostName,
    MachineState,
    Mount,
    Package,
    Resource,
    Symlink,
    Sysctl,
    Unit,
    User,
    Volume,
)


def compose(machine: str, fragments: Iterable[Fragment], programs: Iterable[Program] = ()) -> MachineState:
    """Join ``fragments`` into one state, ordered by key whatever order the components came in.

    Components know where the bundle's programs belong; ``programs`` says what these hold, as far as it is known.
    """
    contents = {program.path: program for program in programs}
    entries = [(fragment.component, resource) for fragment in fragments for resource in fragment.resources]
    return MachineState(
        machine=machine,
        files=_unique(machine, entries, File),
        directories=_unique(machine, entries, Directory),
        packages=_unique(machine, entries, Package),
        units=_unique(machine, entries, Unit),
        sysctls=_unique(machine, entries, Sysctl),
        artifacts=tuple(_filled(artifact, contents) for artifact in _unique(machine, entries, Artifact)),
        data_folders=_unique(machine, entries, DataFolder),
        mounts=_unique(machine, entries, Mount),
        users=_unique(machine, entries, User),
        links=_unique(machine, entries, Symlink),
        volumes=_unique(machine, entries, Volume),
        addresses=_unique(machine, entries, Address),
        host_names=_unique(machine, entries, HostName),
    )


def _filled(artifact: Artifact, contents: Mapping[str, Program]) -> Artifact:
    program = contents.get(artifact.path)
    return replace(artifact, digest=program.digest, size=program.size) if program else artifact


R = TypeVar(
    "R", File, Directory, Package, Unit, Sysctl, Artifact, DataFolder, Mount, User, Symlink, Volume, Address, HostName
)


def _unique(machine: str, entries: list[tuple[str, Resource]], kind: type[R]) -> tuple[R, ...]:
    found: dict[str, tuple[str, R]] = {}
    for component, resource in entries:
        if not isinstance(resource, kind):
            continue
        first, known = found.setdefault(key_of(resource), (component, resource))
        if known != resource:
            raise StateError(
                f"{first} and {component} want different things of {kind.__name__.lower()} {key_of(resource)}",
                where=machine,
                hint="this is a defect of groundplane: please report it with your cluster file",
            )
    return tuple(resource for _, (_, resource) in sorted(found.items()))


def key_of(resource: Resource) -> str:
    """What a resource is known by among its kind on one machine, and what a Change of it bears as its key."""
    match resource:
        case Package() | Unit() | User():
            return resource.name
        case Sysctl():
            return resource.key
        case Address():
            return resource.card
        case HostName():
            return HOST_NAME_FILE
        case Volume():
            return f"{resource.group}/{resource.name}"
    return resource.path
