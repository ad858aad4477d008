"""What differs between a machine and its desired state, in the order in which it is to be carried out. Pure.

Each kind of resource has a function that yields its Changes. Units come last: whether one restarts follows from the
files that change before it (``diff_units``).
"""

from __future__ import annotations

from collections.abc import Iterator

from groundplane.agent import diff_units
from groundplane.agent.diff_files import CONTENT, content_changes, entry_changes, removals, rewritten
from groundplane.agent.kernel import plain
from groundplane.agent.observed import Form, Observed, UnitSeen
from groundplane.state.change import Action, Change, Kind
from groundplane.state.derived import (
    HOST_NAME_FILE,
    MANIFEST,
    all_files,
    all_mounts,
    manifest_content,
    manifest_of,
    mount_content,
    mount_file,
    mount_unit,
)
from groundplane.state.model import File, MachineState, Mount, User, Volume


def diff(state: MachineState, seen: Observed) -> tuple[Change, ...]:
    """The machine's Changes; none when it is as it should be."""
    mount_files = {mount_file(mount) for mount in all_mounts(state)}
    files = [file for file in all_files(state) if file.path not in mount_files]
    before = (
        *_packages(state, seen),
        *(change for user in state.users for change in _user(user, seen)),
        *(change for volume in state.volumes for change in _volume(volume, seen)),
        *(change for mount in all_mounts(state) for change in _mount(mount, seen)),
        *entry_changes(state, seen),
        *_artifacts(state, seen),
        *_addresses(state, seen),
        *_host_names(state, seen),
        *diff_units.no_longer_wanted(state, seen),
    )
    removed = tuple(removals(manifest_of(state), seen))
    others = [change.key for change in before if change.kind in (Kind.LINK, Kind.HOST_NAME) or change.content]
    read_anew = (*rewritten(files, seen), *(change.key for change in removed), *others)
    changes = (
        *before,
        *(change for file in files for change in content_changes(Kind.FILE, file.path, file, seen)),
        *removed,
        *_sysctls(state, seen),
        *diff_units.wanted(state, seen, read_anew),
    )
    return changes or tuple(_account(state, seen))


def _packages(state: MachineState, seen: Observed) -> Iterator[Change]:
    for package in state.packages:
        if package.name not in seen.packages:
            yield Change(Kind.PACKAGE, package.name, Action.CREATE, "not installed")


def _user(user: User, seen: Observed) -> Iterator[Change]:
    found = seen.users.get(user.name)
    if found is None:
        yield Change(Kind.USER, user.name, Action.CREATE, "absent")
        return
    missing = [group for group in user.groups if group not in found.groups]
    reasons = [
        *([f"number {found.uid}, not {user.uid}"] if user.uid not in (None, found.uid) else []),
        *([f"home {found.home}, not {user.home}"] if found.home != user.home else []),
        *([f"shell {found.shell}, not {user.shell}"] if found.shell != user.shell else []),
        *([f"not in {', '.join(missing)}"] if missing else []),
    ]
    if reasons:
        yield Change(Kind.USER, user.name, Action.UPDATE, "; ".join(reasons))


def _volume(volume: Volume, seen: Observed) -> Iterator[Change]:
    name = f"{volume.group}/{volume.name}"
    found = seen.volumes.get(name)
    if found is None:
        yield Change(Kind.VOLUME, name, Action.CREATE, "absent")
    elif not found.filesystem:
        # Made, but the run was cut off before it had its file system.
        yield Change(Kind.VOLUME, name, Action.CREATE, "no file system")
    elif found.filesystem != volume.filesystem:
        yield Change(Kind.VOLUME, name, Action.UPDATE, f"holds {found.filesystem}, not {volume.filesystem}")
    elif found.size_bytes < volume.size_bytes:
        yield Change(Kind.VOLUME, name, Action.UPDATE, f"{found.size_bytes} bytes, not {volume.size_bytes}")


def _mount(mount: Mount, seen: Observed) -> Iterator[Change]:
    """A mount is its unit's file and what is mounted there; both are one Change."""
    found = seen.mounts.get(mount.path)
    if found is None:
        yield Change(Kind.MOUNT, mount.path, Action.CREATE, "not mounted")
        return
    if found.type.removeprefix("fuse.") != mount.type.removeprefix("fuse."):
        yield Change(Kind.MOUNT, mount.path, Action.UPDATE, f"{found.type} is mounted there, not {mount.type}")
        return
    if seen.units.get(mount_unit(mount.path), UnitSeen()).enablement not in diff_units.AT_BOOT:
        yield Change(Kind.MOUNT, mount.path, Action.UPDATE, "not mounted at boot")
        return
    yield from content_changes(Kind.MOUNT, mount.path, File(mount_file(mount), mount_content(mount)), seen)


def _artifacts(state: MachineState, seen: Observed) -> Iterator[Change]:
    for artifact in state.artifacts:
        found = seen.entries.get(artifact.path)
        if found is None:
            yield Change(Kind.ARTIFACT, artifact.path, Action.CREATE, "absent", content=artifact.digest)
        elif found.form is not Form.FILE:
            why = f"{found.form.value}, not a program"
            yield Change(Kind.ARTIFACT, artifact.path, Action.UPDATE, why, content=artifact.digest)
        elif artifact.digest not in ("", found.digest):
            why = CONTENT if found.size == artifact.size else f"{found.size} bytes, not {artifact.size}"
            yield Change(Kind.ARTIFACT, artifact.path, Action.UPDATE, why, since=found.changed, content=artifact.digest)
        elif not found.mode & 0o111:
            why = f"mode {found.mode:04o}: not executable"
            yield Change(Kind.ARTIFACT, artifact.path, Action.UPDATE, why, since=found.changed)


def _addresses(state: MachineState, seen: Observed) -> Iterator[Change]:
    for wanted in state.addresses:
        if wanted.address not in seen.addresses:
            yield Change(Kind.ADDRESS, wanted.card, Action.UPDATE, f"{wanted.address} is gone")
        elif wanted.router and (wanted.card, wanted.router) not in seen.routers:
            yield Change(Kind.ADDRESS, wanted.card, Action.UPDATE, f"no default route by {wanted.router}")


def _host_names(state: MachineState, seen: Observed) -> Iterator[Change]:
    for wanted in state.host_names:
        if wanted.name != seen.host_name:
            yield Change(Kind.HOST_NAME, HOST_NAME_FILE, Action.UPDATE, f"is called {seen.host_name}")


def _sysctls(state: MachineState, seen: Observed) -> Iterator[Change]:
    for sysctl in state.sysctls:
        found = seen.sysctls.get(sysctl.key)
        if found != plain(sysctl.value):
            why = "this kernel has no such setting" if found is None else f"is {found}, not {sysctl.value}"
            yield Change(Kind.SYSCTL, sysctl.key, Action.UPDATE, why)


def _account(state: MachineState, seen: Observed) -> Iterator[Change]:
    """The manifest alone: with anything else it is brought up to date unsaid, but never left wrong."""
    found = seen.entries.get(MANIFEST)
    content = manifest_content(manifest_of(state))
    if found is None or found.content != content:
        yield Change(
            Kind.FILE, MANIFEST, Action.UPDATE if found else Action.CREATE, "the account of what is ours differs"
        )
