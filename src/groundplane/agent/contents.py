"""What programs hold, by digest, without reading them at every look.

Hashing hundreds of megabytes takes seconds. So the agent remembers what it read, by the numbers that change with every
write (inode, size, times of content and of the inode), and reads again only what changed since. Losing this memory
costs time and nothing else: it is never a reason to fail.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping
from contextlib import suppress

from groundplane.agent import files
from groundplane.agent.machine import LocalMachine

MEMORY = f"{files.OURS}/digests.json"
CHUNK = 1 << 20

FRESH = 2.0
"""Seconds for which a file may be written again within one tick of its clock, and keep all its numbers: what was read
by then is not remembered."""

Mark = tuple[int, int, int, int]
"""Inode, size in bytes, mtime and ctime in nanoseconds."""


def digests(machine: LocalMachine, paths: Iterable[str]) -> Mapping[str, str]:
    """The sha256 of the regular files at ``paths``, as OCI writes it; what isn't there, or no file, is left out."""
    known = _remembered(machine)
    found: dict[str, str] = {}
    kept: dict[str, tuple[Mark, str]] = {}
    for path in paths:
        with files.telling(f"{path} can't be read"), suppress(FileNotFoundError, NotADirectoryError):
            if not os.path.isfile(machine.at(path)) or os.path.islink(machine.at(path)):
                continue
            mark = _mark(os.stat(machine.at(path)))
            before = known.get(path)
            if before is not None and before[0] == mark:
                found[path], kept[path] = before[1], before
                continue
            mark, found[path] = _read(machine.at(path))
            if not 0 <= machine.now() - mark[3] / 1e9 < FRESH:
                kept[path] = (mark, found[path])
    if kept != known:
        _remember(machine, kept)
    return found


def digest_of(place: str) -> str:
    """The sha256 of the file at ``place``, of this process's own tree."""
    return _read(place)[1]


def _read(place: str) -> tuple[Mark, str]:
    """A file's numbers and digest. One that is written meanwhile has others afterwards, and is read again next time."""
    from hashlib import sha256  # costs its import, and mostly nothing changed

    digest = sha256()
    with open(place, "rb", buffering=0) as file:
        mark = _mark(os.fstat(file.fileno()))
        while chunk := file.read(CHUNK):
            digest.update(chunk)
    return mark, f"sha256:{digest.hexdigest()}"


def _mark(found: os.stat_result) -> Mark:
    return (found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns)


def _remembered(machine: LocalMachine) -> dict[str, tuple[Mark, str]]:
    try:
        with open(machine.at(MEMORY), "rb") as file:
            document = json.load(file)
        return {
            path: ((int(inode), int(size), int(mtime), int(ctime)), str(digest))
            for path, (inode, size, mtime, ctime, digest) in document["programs"].items()
        }
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        return {}  # none, or no memory that we wrote


def _remember(machine: LocalMachine, kept: Mapping[str, tuple[Mark, str]]) -> None:
    """Several may look at once: each writes a file of its own, and the last one to be renamed stays."""
    document = {"programs": {path: [*mark, digest] for path, (mark, digest) in sorted(kept.items())}}
    partial = machine.at(f"{MEMORY}.{os.getpid()}")
    with suppress(OSError):
        files.folders(machine, files.OURS)
        try:
            with open(partial, "w", encoding="utf-8") as file:
                json.dump(document, file)
            os.rename(partial, machine.at(MEMORY))
        except OSError:
            os.unlink(partial)
            raise
