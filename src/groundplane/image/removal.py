"""Removing a folder without ever leaving it.

A tree that once was a machine may still have something mounted in it; a remover that walks into a bind-mounted
/dev deletes the host's devices. This one opens each folder relative to its parent without following symbolic
links, compares the device number, and refuses to go on where it changes. A bind mount of the same file system
has the same device number, so the mount table is asked first. Trees may be deeper than a stack or the open files of a
process allow, so each folder's own folders are moved up to the top before it goes.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Final

from groundplane.errors import StoreError

MOUNTS: Final = Path("/proc/self/mountinfo")

_FOLDER: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


def read_mounts(mountinfo: Path = MOUNTS) -> str:
    """The mount table as text; a mount point may hold bytes of any encoding, or of none."""
    return mountinfo.read_text(encoding="utf-8", errors="surrogateescape")


def mounts_under(folder: Path, mountinfo: str) -> tuple[Path, ...]:
    """Mount points at or below ``folder``, deepest first. ``mountinfo``: text of proc(5)'s /proc/self/mountinfo."""
    found = []
    for line in mountinfo.splitlines():
        fields = line.split(" ")
        if len(fields) > 4:
            point = Path(unescape(fields[4]))
            if point == folder or folder in point.parents:
                found.append(point)
    return tuple(sorted(found, key=lambda point: (-len(point.parts), str(point))))


def unescape(field: str) -> str:
    r"""Undo mountinfo's octal escapes (``\040`` for a space)."""
    head, *rest = field.split("\\")
    return head + "".join(chr(int(part[:3], 8)) + part[3:] for part in rest)


def remove_tree(folder: Path, *, mountinfo: Path = MOUNTS) -> None:
    """Remove ``folder`` and all in it; nothing happens when it isn't there.

    Raises StoreError, before anything is removed, while something is mounted at or below it.
    """
    if folder.is_symlink() or (folder.exists() and not folder.is_dir()):
        folder.unlink()
        return
    if not folder.exists():
        return
    _refuse_mounts(folder, mounts_under(folder.resolve(), read_mounts(mountinfo)))
    parent = os.open(folder.parent, _FOLDER)
    try:
        _remove(parent, folder.name, os.lstat(folder).st_dev, folder)
    finally:
        os.close(parent)


def _refuse_mounts(folder: Path, mounts: Iterable[Path]) -> None:
    still = ", ".join(str(point) for point in mounts)
    if still:
        raise StoreError(
            "something is still mounted in a folder that is to be removed",
            where=str(folder),
            hint=f"unmount it first: {still}",
        )


def _remove(parent: int, name: str, device: int, shown: Path) -> None:
    """Remove the folder ``name`` of the open folder ``parent``."""
    top = _open(parent, name, device, shown)
    try:
        while folders := _unlink_files(top):
            for child in folders:
                _flatten(top, child, device, shown / child)
    finally:
        os.close(top)
    os.rmdir(name, dir_fd=parent)


def _flatten(top: int, name: str, device: int, shown: Path) -> None:
    """Remove the folder ``name`` of ``top``; the folders in it become ``top``'s own."""
    handle = _open(top, name, device, shown)
    try:
        for child in _unlink_files(handle):
            below = _open(handle, child, device, shown / child)
            try:
                fresh = f".removing-{os.fstat(below).st_ino}"  # no other folder has that number
            finally:
                os.close(below)
            os.rename(child, fresh, src_dir_fd=handle, dst_dir_fd=top)
    finally:
        os.close(handle)
    os.rmdir(name, dir_fd=top)


def _open(parent: int, name: str, device: int, shown: Path) -> int:
    """The open folder ``name`` of ``parent``; StoreError where it is on another file system."""
    handle = os.open(name, _FOLDER, dir_fd=parent)
    if os.fstat(handle).st_dev != device:
        os.close(handle)
        raise StoreError("another file system begins here, so it is not removed", where=str(shown))
    return handle


def _unlink_files(folder: int) -> tuple[str, ...]:
    """Unlink all in an open folder but its folders; return those."""
    with os.scandir(folder) as entries:
        found = [(entry.name, entry.is_dir(follow_symlinks=False)) for entry in entries]
    for name, is_folder in found:
        if not is_folder:
            _unlink(folder, name)
    return tuple(name for name, is_folder in found if is_folder)


def _unlink(parent: int, name: str) -> None:
    """Unlink a file, or find it gone."""
    with suppress(FileNotFoundError):
        os.unlink(name, dir_fd=parent)
