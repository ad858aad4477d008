"""Reading what lies at a path, and putting files in place so that nobody ever sees half of one."""

from __future__ import annotations

import os
import stat
from contextlib import contextmanager, suppress

from groundplane.agent.accounts import Accounts
from groundplane.agent.error import of_os
from groundplane.agent.machine import LocalMachine
from groundplane.agent.observed import Form, PathSeen

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from typing import BinaryIO

OURS = "/var/lib/groundplane"
KEPT = f"{OURS}/kept"
"""The files that were replaced, each at its own path below, until the change holds. Nobody but root looks in."""

PIECE = 1 << 20
"""Bytes of a file that are held in memory when it is copied."""

TOO_LONG = 4 << 20
"""Bytes beyond which a file that lies where a configuration should isn't read: it differs anyway."""


def entry(
    machine: LocalMachine, path: str, known: Accounts, *, read: bool = False, follow: bool = False
) -> PathSeen | None:
    """What lies at ``path``; None if nothing does. ``read``: with a regular file's content. ``follow``: where a link
    at ``path`` leads."""
    place = machine.at(path)
    try:
        found = os.stat(place) if follow else os.lstat(place)
    except (FileNotFoundError, NotADirectoryError):
        return None
    form = _form(found.st_mode)
    return PathSeen(
        form=form,
        mode=stat.S_IMODE(found.st_mode),
        owner=known.user_name(found.st_uid),
        group=known.group_name(found.st_gid),
        content=_content(place, found.st_size) if read and form is Form.FILE else None,
        target=os.readlink(place) if form is Form.LINK else "",
        changed=found.st_ctime,
        size=found.st_size,
    )


def _form(mode: int) -> Form:
    if stat.S_ISREG(mode):
        return Form.FILE
    if stat.S_ISDIR(mode):
        return Form.FOLDER
    return Form.LINK if stat.S_ISLNK(mode) else Form.OTHER


def _content(place: str, size: int) -> bytes | None:
    if size > TOO_LONG:
        return None
    with open(place, "rb") as file:
        return file.read()


@contextmanager
def telling(what: str) -> Iterator[None]:
    """Turn an operating system's error in the block into a Problem that says ``what`` was tried."""
    try:
        yield
    except OSError as error:
        raise of_os(what, error) from error


def staged(machine: LocalMachine, path: str, content: bytes | Iterable[bytes], mode: int, uid: int, gid: int) -> str:
    """Write the file beside its place, safely on disk, under a name of its own; return that. ``place`` moves it.

    ``content`` may come in pieces: a program is not held in memory.
    """
    temporary = f"{os.path.dirname(path)}/.{os.path.basename(path)[:200]}.groundplane"
    with telling(f"{path} can't be written"):
        folders(machine, os.path.dirname(path))
        with suppress(FileNotFoundError):
            os.unlink(machine.at(temporary))  # of a run that was killed
        try:
            parts = (content,) if isinstance(content, bytes) else content
            _write(machine.at(temporary), parts, mode, uid, gid)
        except OSError:
            discard(machine, temporary)
            raise
    return temporary


def pieces(file: BinaryIO) -> Iterator[bytes]:
    """What is left in an open file, a piece at a time."""
    while piece := file.read(PIECE):
        yield piece


def _write(place: str, content: Iterable[bytes], mode: int, uid: int, gid: int) -> None:
    handle = os.open(place, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    with open(handle, "wb") as file:
        for piece in content:
            file.write(piece)
        file.flush()
        os.fchown(handle, uid, gid)
        os.fchmod(handle, mode)  # after fchown, which clears the set-user-ID bit
        os.fsync(handle)


def place(machine: LocalMachine, temporary: str, path: str) -> None:
    """Move a staged file to its place, whatever file or link lies there."""
    with telling(f"{path} can't be put in place"):
        os.rename(machine.at(temporary), machine.at(path))
        sync(machine, os.path.dirname(path))


def put(machine: LocalMachine, path: str, content: bytes | Iterable[bytes], mode: int, uid: int, gid: int) -> None:
    """Write a file, at once or not at all."""
    place(machine, staged(machine, path, content, mode, uid, gid), path)


def discard(machine: LocalMachine, path: str) -> None:
    """Remove a file that may be there."""
    with telling(f"{path} can't be removed"), suppress(FileNotFoundError):
        os.unlink(machine.at(path))


def folders(machine: LocalMachine, path: str) -> None:
    """Make ``path`` and what is above it, 0755 whatever the umask is, where it isn't there."""
    if os.path.isdir(machine.at(path)):
        return
    folders(machine, os.path.dirname(path))
    os.mkdir(machine.at(path), 0o755)
    os.chmod(machine.at(path), 0o755)


def sync(machine: LocalMachine, folder: str) -> None:
    """Have a folder's names on disk."""
    handle = os.open(machine.at(folder), os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def keep(machine: LocalMachine, path: str) -> bool:
    """Copy what lies at ``path``, with its owner and mode, to where it can be had back; False if nothing lies there."""
    with telling(f"{path} can't be kept"):
        if not os.path.lexists(machine.at(path)):
            return False
        folder = machine.at(KEPT)
        folders(machine, OURS)
        with suppress(FileExistsError):
            os.mkdir(folder, 0o700)
        os.chmod(folder, 0o700)
        return _copied(machine, path, KEPT + path)


def put_back(machine: LocalMachine, path: str, kept: bool) -> None:
    """Have ``path`` as it was before: what was kept of it, or nothing."""
    if kept:
        with telling(f"{path} can't be put back"):
            _copied(machine, KEPT + path, path)
    else:
        discard(machine, path)


def forget_kept(machine: LocalMachine, path: str) -> None:
    """Drop the kept file and the folders that held nothing else."""
    discard(machine, KEPT + path)
    folder = os.path.dirname(KEPT + path)
    with suppress(OSError):  # one that holds another kept file stays
        while len(folder) >= len(KEPT):
            os.rmdir(machine.at(folder))
            folder = os.path.dirname(folder)


def _copied(machine: LocalMachine, source: str, target: str) -> bool:
    try:
        found = os.lstat(machine.at(source))
    except FileNotFoundError:
        return False
    if stat.S_ISLNK(found.st_mode):
        folders(machine, os.path.dirname(target))
        link(machine, target, os.readlink(machine.at(source)))
        return True
    with open(machine.at(source), "rb") as file:
        put(machine, target, pieces(file), stat.S_IMODE(found.st_mode), found.st_uid, found.st_gid)
    return True


def link(machine: LocalMachine, path: str, target: str) -> None:
    """Have a symbolic link at ``path``, whatever file or link lies there."""
    temporary = f"{os.path.dirname(path)}/.{os.path.basename(path)[:200]}.groundplane"
    with telling(f"{path} can't be made a link"):
        folders(machine, os.path.dirname(path))
        with suppress(FileNotFoundError):
            os.unlink(machine.at(temporary))
        os.symlink(target, machine.at(temporary))
        os.rename(machine.at(temporary), machine.at(path))
