"""Files that are on disk completely or not at all, and the digests they are known by."""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Final, cast

CHUNK: Final = 1 << 20
"""Bytes that are read or written at a time."""


@dataclass(slots=True)
class NewFile:
    """A file that isn't there yet; ``target`` is the name it gets when its block ends well."""

    file: BinaryIO
    target: Path | None = None


@contextmanager
def atomic_file(folder: Path) -> Iterator[NewFile]:
    """A file in ``folder`` that appears whole under ``NewFile.target`` or not at all."""
    with tempfile.NamedTemporaryFile(dir=folder, prefix=".pending-", delete=False) as file:
        temporary = Path(file.name)
        pending = NewFile(cast(BinaryIO, file))
        try:
            yield pending
            file.flush()
            os.fsync(file.fileno())
            os.fchmod(file.fileno(), 0o644)
            if pending.target is not None:
                temporary.replace(pending.target)
        finally:
            temporary.unlink(missing_ok=True)


def write_atomically(path: Path, content: bytes) -> None:
    """Replace ``path`` by ``content`` in one go."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_file(path.parent) as pending:
        pending.file.write(content)
        pending.target = path


def link_or_copy(source: Path, target: Path) -> None:
    """Make ``target`` the same content as ``source``: a hard link where possible, else a copy; a no-op if it is."""
    target.parent.mkdir(parents=True, exist_ok=True)
    if is_copy(target, source):
        return
    fresh = target.with_name(f".pending-{target.name}")
    fresh.unlink(missing_ok=True)
    try:
        fresh.hardlink_to(source)
        fresh.replace(target)
    except OSError:  # another file system, or one without hard links
        with atomic_file(target.parent) as pending, source.open("rb") as file:
            shutil.copyfileobj(file, pending.file, CHUNK)
            pending.target = target


def is_copy(path: Path, original: Path) -> bool:
    """Whether ``path`` is ``original``: the same file, or where links don't reach, one of the same size."""
    try:
        have, want = path.stat(), original.stat()
    except OSError:
        return False
    return have.st_size == want.st_size and (have.st_dev != want.st_dev or have.st_ino == want.st_ino)


def sha256(content: bytes) -> str:
    """The digest of ``content`` as OCI writes it."""
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def digest_of(path: Path) -> str:
    """The digest of a file's content."""
    with path.open("rb") as file:
        return f"sha256:{hashlib.file_digest(file, 'sha256').hexdigest()}"
