"""Files that a command writes where its user says."""

from __future__ import annotations

import os
from pathlib import Path

from groundplane.errors import StoreError


def check_new(path: Path, hint: str = "choose another name, or remove it first", *, replace: bool = False) -> None:
    """Raise StoreError where ``path`` is taken or no file can be made there; to be asked before anything is done.

    With ``replace`` a file may be there, but no symbolic link: what it leads to may be anything.
    """
    if path.is_symlink() or (path.exists() and not replace):
        raise StoreError("is there already", where=str(path), hint=hint)
    if not os.access(path.absolute().parent, os.W_OK | os.X_OK):
        raise StoreError("no file can be made there", where=str(path), hint="name a folder that is there and writable")


def check_folder(path: Path) -> None:
    """Raise StoreError where ``path`` is no empty folder and none can be made there."""
    hint = "name a new folder inside one that is there and writable"
    try:
        if path.is_symlink() and not path.exists():
            raise StoreError("is a symbolic link to nothing", where=str(path), hint=hint)
        if path.exists():
            if not path.is_dir() or any(path.iterdir()):
                raise StoreError("is not an empty folder", where=str(path), hint="choose another, or empty it first")
            writable = path
        else:
            writable = next(above for above in path.absolute().parents if above.exists())
            if not writable.is_dir():
                raise StoreError(f"lies below {writable}, which is no folder", where=str(path), hint=hint)
    except (OSError, ValueError) as error:  # ValueError: a path with a NUL in it
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise StoreError(f"no folder can be made there: {reason}", where=str(path), hint=hint) from error
    if not os.access(writable, os.W_OK | os.X_OK):
        raise StoreError(f"nothing can be written in {writable}", where=str(path), hint=hint)


def publish(path: Path, content: bytes, *, replace: bool = False) -> None:
    """As ``write``, but a file that others may read, as umask says. Without ``replace`` nothing is overwritten, whoever
    may have put something there since it was asked."""
    target = path.with_name(f".{path.name}-{os.getpid()}") if replace else path
    try:
        with target.open("xb") as file:
            file.write(content)
            if (owner := _caller()) is not None:
                os.fchown(file.fileno(), *owner)
        target.replace(path)
    except FileExistsError:
        raise StoreError("is there already", where=str(target), hint="choose another name, or remove it") from None
    except OSError as error:
        hint = "name a place on a file system that keeps files and has room, or make some there"
        raise StoreError(f"can't be written: {error.strerror}", where=str(path), hint=hint) from error
    finally:
        if target != path:
            target.unlink(missing_ok=True)


def write(path: Path, content: bytes) -> None:
    """Put a private file at ``path``; under sudo it is the caller's: one that only root can read is of no use to them.

    Raises StoreError.
    """
    from groundplane.store import write_private

    write_private(path, content, owner=_caller())


def _caller() -> tuple[int, int] | None:
    """Who called sudo (uid, gid); None without it."""
    uid, gid = os.environ.get("SUDO_UID", ""), os.environ.get("SUDO_GID", "")
    return (int(uid), int(gid)) if os.geteuid() == 0 and uid.isdigit() and gid.isdigit() else None
