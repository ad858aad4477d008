"""Joins what the components want of one machine. The same thing wanted twice is fine, a contradiction is an error."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TypeVar

from groundplane.errors import StateError
from groundplane.state.model import (
    Address,
    Artifact,
    DataFolder,
    Directory,
    File,
    Fragment,
    Link,
    MachineState,
    Mount,
    Package,
    Resource,
    Sysctl,
    Unit,
    User,
    Volume,
)


def compose(machine: str, fragments: Iterable[Fragment]) -> MachineState:
    """Join ``fragments`` into one state, ordered by key whatever order the components came in."""
    entries = [(fragment.component, resource) for fragment in fragments for resource in fragment.resources]
    return MachineState(
        machine=machine,
        files=_unique(machine, entries, File, lambda file: file.path),
        directories=_unique(machine, entries, Directory, lambda directory: directory.path),
        packages=_unique(machine, entries, Package, lambda package: package.name),
        units=_unique(machine, entries, Unit, lambda unit: unit.name),
        sysctls=_unique(machine, entries, Sysctl, lambda sysctl: sysctl.key),
        artifacts=_unique(machine, entries, Artifact, lambda artifact: artifact.path),
        data_folders=_unique(machine, entries, DataFolder, lambda folder: folder.path),
        mounts=_unique(machine, entries, Mount, lambda mount: mount.path),
        users=_unique(machine, entries, User, lambda user: user.name),
        links=_unique(machine, entries, Link, lambda link: link.path),
        volumes=_unique(machine, entries, Volume, lambda volume: f"{volume.group}/{volume.name}"),
        addresses=_unique(machine, entries, Address, lambda address: address.card),
    )


R = TypeVar("R", File, Directory, Package, Unit, Sysctl, Artifact, DataFolder, Mount, User, Link, Volume, Address)


def _unique(machine: str, entries: list[tuple[str, Resource]], kind: type[R], key: Callable[[R], str]) -> tuple[R, ...]:
    found: dict[str, tuple[str, R]] = {}
    for component, resource in entries:
        if not isinstance(resource, kind):
            continue
        first, known = found.setdefault(key(resource), (component, resource))
        if known != resource:
            raise StateError(
                f"{first} and {component} want different things of {kind.__name__.lower()} {key(resource)}",
                where=machine,
                hint="this is a defect of groundplane: please report it with your cluster file",
            )
    return tuple(resource for _, (_, resource) in sorted(found.items()))
