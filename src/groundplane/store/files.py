"""Private files on disk: whole or not there, readable by their owner alone, never through somebody else's link.

Every reader and writer of our state goes through these few functions, so a crash at any moment leaves either the
old content or the new one, and another user of this computer can neither read nor redirect it.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from secrets import token_hex
from shutil import rmtree

from groundplane.errors import StoreError

PARTIAL = ".partial-"
"""What the names of files being written begin with; after a crash such a file may stay behind."""

_ELSEWHERE = "choose another folder with --state-dir or --cache-dir"
_AS_OWNER = f"run the command as the user who built the platform, or {_ELSEWHERE}"


def private_folder(path: Path) -> Path:
    """Make ``path`` (and what is missing above it) a folder of ours with mode 0700.

    Raises StoreError where it belongs to somebody else, or where a folder above it lets anybody replace it.
    """
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        found = path.stat()
        _check_owner(path, found)
        for above in path.resolve().parents:
            mode = above.stat().st_mode
            if mode & stat.S_IWOTH and not mode & stat.S_ISVTX:
                raise StoreError(
                    f"every user of this computer may replace what lies in {above}",
                    where=str(path),
                    hint=f"{_ELSEWHERE}, or run: chmod o-w {above}",
                )
        if stat.S_IMODE(found.st_mode) != 0o700:
            path.chmod(0o700)
    except OSError as error:
        raise unusable(path, error) from error
    return path


def read_private(path: Path) -> bytes | None:
    """Read a file of ours; None when there is none. Loose permissions are tightened, a foreign owner refused."""
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise unusable(path, error) from error
    with os.fdopen(handle, "rb") as file:
        found = os.fstat(handle)
        if not stat.S_ISREG(found.st_mode):
            raise StoreError("not a regular file", where=str(path), hint="move it away and run the command again")
        _check_owner(path, found)
        if found.st_mode & 0o077:
            os.fchmod(handle, 0o600)
        try:
            return file.read()
        except OSError as error:
            raise unusable(path, error) from error


def write_private(path: Path, content: bytes, *, owner: tuple[int, int] | None = None) -> None:
    """Put ``content`` at ``path``, mode 0600, replacing what was there in one act that survives a power cut.

    ``owner`` (uid, gid) is who gets the file; default: this process's user.
    """
    _written(path, content, os.replace, owner)


def create_private(path: Path, content: bytes) -> bool:
    """As ``write_private``, but only where nothing is there yet; return False (and change nothing) otherwise."""
    try:
        _written(path, content, os.link, None)
    except FileExistsError:
        return False
    return True


def put_private(path: Path, content: bytes) -> None:
    """Write a new file, mode 0600, which can be made again: a crash may leave half of it or nothing."""
    try:
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        with os.fdopen(handle, "wb") as file:
            file.write(content)
    except OSError as error:
        raise unusable(path, error) from error


def put_tree(folder: Path, tree: Mapping[str, bytes]) -> None:
    """Write new files, mode 0600, by their paths below ``folder``, which is new or empty: all of them or none.

    They are written beside their places and moved there when all are whole. Raises StoreError.
    """
    made = [above for above in (folder, *folder.absolute().parents) if not above.exists()]
    moved: list[Path] = []
    try:
        folder.mkdir(parents=True, exist_ok=True)
        partial = folder / f"{PARTIAL}{token_hex(4)}"
        partial.mkdir()
        moved.append(partial)
        for name, content in tree.items():
            (partial / name).parent.mkdir(parents=True, exist_ok=True)
            put_private(partial / name, content)
        for whole in sorted(partial.iterdir()):
            moved.append(whole.rename(folder / whole.name))
        partial.rmdir()
    except BaseException as error:
        for path in moved:
            rmtree(path, ignore_errors=True)
        for path in made:
            with suppress(OSError):
                path.rmdir()
        if isinstance(error, OSError):
            raise unusable(folder, error) from error
        raise


def sync_folder(path: Path) -> None:
    """Make names just created in or removed from ``path`` outlast a power cut."""
    handle = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(handle)
    except OSError as error:  # some network file systems can't, and don't need it
        if error.errno not in (errno.EINVAL, errno.ENOTSUP):
            raise
    finally:
        os.close(handle)


def unusable(path: Path, error: OSError) -> StoreError:
    """The StoreError for an operating system's refusal at ``path``."""
    hint = {
        errno.ENAMETOOLONG: "choose a folder with a shorter path",
        errno.ENOSPC: "make room on that file system and run the command again",
        errno.EROFS: "choose a writable folder with --state-dir or --cache-dir",
        errno.EACCES: _AS_OWNER,
        errno.EPERM: _AS_OWNER,
        errno.ELOOP: "it is a symbolic link, which is not followed: move it away",
        errno.ENOTDIR: "a file stands where a folder belongs: choose another folder",
    }.get(error.errno or 0, "choose another folder, on a file system that keeps files")
    return StoreError(f"can't be used: {error.strerror or error}", where=str(path), hint=hint)


def _written(path: Path, content: bytes, place: Callable[[Path, Path], None], owner: tuple[int, int] | None) -> None:
    partial = path.with_name(f"{PARTIAL}{path.name}-{token_hex(4)}")
    try:
        handle = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        try:
            with os.fdopen(handle, "wb") as file:
                if owner is not None:
                    os.fchown(handle, *owner)
                file.write(content)
                file.flush()
                os.fsync(handle)
            place(partial, path)
        finally:
            with suppress(FileNotFoundError):
                partial.unlink()
        sync_folder(path.parent)
    except FileExistsError:
        raise
    except OSError as error:
        raise unusable(path, error) from error


def _check_owner(path: Path, found: os.stat_result) -> None:
    if found.st_uid != os.geteuid():
        raise StoreError(
            f"belongs to another user (uid {found.st_uid}, this is {os.geteuid()})",
            where=str(path),
            hint=f"run the command as that user, or {_ELSEWHERE}",
        )
