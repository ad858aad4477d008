"""What lies on a machine besides what components asked for by name: files made of the other resources, and the
manifest of all that is ours there. Travels with the agent: standard library only. Pure.

The seed lays these files at first boot and the agent keeps them, so both take them from here.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass

from groundplane.state.model import File, MachineState, Mount, Sysctl, Unit, Volume

SYSCTL_FILE = "/etc/sysctl.d/60-groundplane.conf"
"""Where a machine's ``Sysctl`` resources lie."""

HOST_NAME_FILE = "/etc/hostname"

MANIFEST = "/var/lib/groundplane/manifest.json"
MANIFEST_VERSION = 1
UNIT_FOLDER = "/etc/systemd/system"


@dataclass(frozen=True, slots=True)
class MachineManifest:
    """What is ours on a machine, each tuple sorted. A file that is ours and no longer wanted is removed; one that is
    not ours is never touched.

    ``units`` are those we enable or start, ``masked`` those we mask. Files that a component rewrites itself
    (``initial``) are its own from the moment they lie there.
    """

    files: tuple[str, ...] = ()
    links: tuple[str, ...] = ()
    units: tuple[str, ...] = ()
    masked: tuple[str, ...] = ()

    def joined(self, other: MachineManifest) -> MachineManifest:
        return MachineManifest(
            files=_sorted((*self.files, *other.files)),
            links=_sorted((*self.links, *other.links)),
            units=_sorted((*self.units, *other.units)),
            masked=_sorted((*self.masked, *other.masked)),
        )


def manifest_of(state: MachineState) -> MachineManifest:
    """The manifest of a machine that is as ``state`` says."""
    units = all_units(state)
    return MachineManifest(
        files=_sorted(file.path for file in all_files(state) if not file.initial),
        links=_sorted(link.path for link in state.links),
        units=_sorted(unit.name for unit in units if not unit.masked and (unit.enabled or unit.active)),
        masked=_sorted(unit.name for unit in units if unit.masked),
    )


def manifest_content(manifest: MachineManifest) -> bytes:
    """The bytes of the manifest's file."""
    document = {
        "version": MANIFEST_VERSION,
        "files": list(manifest.files),
        "links": list(manifest.links),
        "units": list(manifest.units),
        "masked": list(manifest.masked),
    }
    return (json.dumps(document, indent=1) + "\n").encode()


def all_files(state: MachineState) -> tuple[File, ...]:
    """The files of ``state`` and those its other resources lie in, sorted by path. The manifest is not among them."""
    extra = [File(mount_file(mount), mount_content(mount)) for mount in all_mounts(state)]
    extra += [File(HOST_NAME_FILE, f"{host.name}\n".encode()) for host in state.host_names]
    if state.sysctls:
        extra.append(File(SYSCTL_FILE, sysctl_content(state.sysctls)))
    return tuple(sorted((*state.files, *extra), key=lambda file: file.path))


def all_units(state: MachineState) -> tuple[Unit, ...]:
    """The units of ``state`` and those that mount its file systems, sorted by name."""
    extra = [Unit(mount_unit(mount.path), reads=(mount_file(mount),)) for mount in all_mounts(state)]
    return tuple(sorted((*state.units, *extra), key=lambda unit: unit.name))


def all_mounts(state: MachineState) -> tuple[Mount, ...]:
    """The mounts of ``state`` and those of its volumes, outer ones first."""
    extra = [volume_mount(volume, volume.path) for volume in state.volumes if volume.path is not None]
    return tuple(sorted((*state.mounts, *extra), key=lambda mount: mount.path))


def volume_mount(volume: Volume, path: str) -> Mount:
    return Mount(volume.device, path, volume.filesystem)


def sysctl_content(sysctls: Iterable[Sysctl]) -> bytes:
    """``/etc/sysctl.d`` text of the settings, in their order."""
    return "".join(f"{sysctl.key} = {sysctl.value}\n" for sysctl in sysctls).encode()


def mount_file(mount: Mount) -> str:
    return f"{UNIT_FOLDER}/{mount_unit(mount.path)}"


def mount_unit(path: str) -> str:
    """The unit's name for a mount point, escaped as ``systemd-escape --path`` does (systemd.unit(5))."""
    inner = "/".join(part for part in path.split("/") if part)
    words = [_escaped(byte, first=number == 0) for number, byte in enumerate(inner.encode())]
    return f"{''.join(words) or '-'}.mount"


def _escaped(byte: int, *, first: bool) -> str:
    char = chr(byte)
    if char == "/":
        return "-"
    plain = byte < 128 and (char.isalnum() or char in ":_" or (char == "." and not first))
    return char if plain else f"\\x{byte:02x}"


def mount_content(mount: Mount) -> bytes:
    """The mount's unit. One of the network waits for the network by its type or ``_netdev`` (systemd.mount(5))."""
    lines = [
        "# Made by groundplane.",
        "[Unit]",
        f"Description={mount.path}",
        "",
        "[Mount]",
        f"What={_literal(mount.source)}",
        f"Where={_literal(mount.path)}",
        f"Type={mount.type}",
        *([f"Options={_literal(','.join(mount.options))}"] if mount.options else []),
        "",
        "[Install]",
        f"WantedBy={'remote-fs.target' if _remote(mount) else 'local-fs.target'}",
        "",
    ]
    return "\n".join(lines).encode()


def _remote(mount: Mount) -> bool:
    return "_netdev" in mount.options or mount.type in ("nfs", "nfs4", "cifs", "ceph", "glusterfs", "fuse.glusterfs")


def _literal(text: str) -> str:
    """``text`` as a unit file takes it unharmed: a percent sign begins a specifier there."""
    return text.replace("%", "%%")


def _sorted(words: Iterable[str]) -> tuple[str, ...]:
    return tuple(sorted(set(words)))
