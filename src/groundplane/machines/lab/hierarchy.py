"""What both versions of control groups share: a folder tree of the kernel's, read and removed with care.

Only groups below ``groundplane/`` are ever made or removed; that folder is in each hierarchy's root, so that a later
run of the tool finds it again whatever group that run itself lives in.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from math import inf
from pathlib import Path
from typing import Final, Protocol

from groundplane.machines.base import Size

OURS: Final = "groundplane"
PERIOD: Final = 100_000  # microseconds: the kernel's default bandwidth period
NO_LIMIT: Final = 1 << 62  # bytes: what version 1 says of memory without a limit is more, and depends on its pages
LAB_WEIGHT: Final = 4  # how much more a whole lab counts than another group when processors are short


@dataclass(frozen=True, slots=True)
class Limits:
    """What a group may use: processors (fractions allowed) and bytes of memory. None: as much as there is.

    ``weight`` is how much more than another it counts when processors are short. The programs of ``prompt`` groups may
    be scheduled in real time: for machines that watch over each other and must not mistake a busy computer for a dead
    one.
    """

    cpus: float | None = None
    memory: int | None = None
    weight: int = 1
    prompt: bool = False


@dataclass(frozen=True, slots=True)
class Usage:
    """What a group uses: bytes of memory without reclaimable file cache, seconds of processor time."""

    memory: int = 0
    cpu_seconds: float = 0.0


class Cgroups(Protocol):
    """One lab machine's control group, whatever version the host has. ``group`` is ``<lab>/<machine>``."""

    @property
    def version(self) -> int: ...

    def create(self, group: str, limits: Limits) -> None:
        """Make the group with its limits; one that exists gets them anew."""

    def outer(self, group: str) -> tuple[Path, ...]:
        """Files to write ``0`` to, for the process that starts and outlives the container."""

    def inner(self, group: str) -> tuple[Path, ...]:
        """Files to write ``0`` to for the container's manager itself; their folders are made afresh at each start."""

    def managers(self, group: str) -> tuple[int, ...]:
        """Processes among which the container's manager is to be found."""

    def processes(self, group: str) -> tuple[int, ...]:
        """Every process in the group or below it."""

    def entrances(self, pid: int) -> tuple[Path, ...]:
        """Files to write ``0`` to, for a command that is to run in the machine whose first process is ``pid``."""

    def kill(self, group: str) -> None:
        """Ask the kernel to kill everything in the group at once, where it can."""

    def freeze(self, group: str, still: bool) -> bool:
        """Have its processes stand still, or go on; False where this host can't do that, or there is no such group."""

    def frozen(self, group: str) -> bool:
        """Whether all of them do stand still."""

    def remove(self, group: str) -> bool:
        """Remove the group and what is below it; False while something is still in it."""

    def remove_ours(self) -> None:
        """Remove the folder of all our groups, unless another lab has some in it."""

    def usage(self, group: str) -> Usage: ...

    def size(self, group: str) -> Size:
        """What the group's limits are, whoever set them."""

    def groups(self, lab: str) -> tuple[str, ...]:
        """The names of a lab's groups (machines, forwarder), sorted."""


def read_numbers(path: Path) -> tuple[int, ...]:
    """The numbers in a file of the kernel's but 0; none when the group has gone.

    0 stands for a process that this process namespace can't name. A group of threads (EOPNOTSUPP) lists no
    processes of its own: they are the threaded domain's.
    """
    try:
        return tuple(number for word in path.read_text(encoding="ascii").split() if (number := int(word)))
    except OSError as error:
        if error.errno in (errno.ENOENT, errno.ENODEV, errno.EOPNOTSUPP):
            return ()
        raise


def read_words(path: Path) -> tuple[str, ...]:
    """The words in a file of the kernel's; none when the group has gone, or never had the controller."""
    try:
        return tuple(path.read_text(encoding="ascii").split())
    except OSError as error:
        if error.errno in (errno.ENOENT, errno.ENODEV):
            return ()
        raise


def allowed(words: Sequence[str]) -> float | None:
    """What the kernel allows: an amount, or one in each period. None where it didn't say."""
    if not words:
        return None
    if words[0] in ("max", "-1") or int(words[0]) >= NO_LIMIT:
        return inf
    return int(words[0]) / int(words[1]) if words[1:] else int(words[0])


def write_switch(path: Path, value: str) -> bool:
    """Write to a file of the kernel's; False when it isn't there."""
    try:
        file = os.open(path, os.O_WRONLY)  # never makes the file
    except FileNotFoundError:
        return False
    try:
        os.write(file, value.encode("ascii"))
    finally:
        os.close(file)
    return True


def read_keyed(path: Path) -> dict[str, int]:
    """A flat keyed file (``memory.stat``, ``cpu.stat``); empty when the group has gone."""
    try:
        pairs = (line.partition(" ")[::2] for line in path.read_text(encoding="ascii").splitlines())
        return {key: int(value) for key, value in pairs}
    except OSError as error:
        if error.errno in (errno.ENOENT, errno.ENODEV):
            return {}
        raise


def below(folder: Path) -> Iterator[Path]:
    """``folder`` and every group below it, deepest first."""
    if not folder.is_dir():
        return
    for root, _, _ in os.walk(folder, topdown=False):
        yield Path(root)


def all_processes(folder: Path) -> tuple[int, ...]:
    return tuple(sorted({pid for group in below(folder) for pid in read_numbers(group / "cgroup.procs")}))


def remove_groups(folder: Path) -> bool:
    """Remove ``folder`` and the groups below it; False when one is still in use."""
    try:
        for group in below(folder):
            with suppress(FileNotFoundError):
                group.rmdir()
    except OSError as error:
        if error.errno in (errno.EBUSY, errno.ENOTEMPTY):
            return False
        raise
    return True


def remove_if_empty(folder: Path) -> None:
    """Remove a group unless it has children or processes."""
    with suppress(OSError):
        folder.rmdir()


def own_path(cgroup_file: str, controller: str) -> str | None:
    """A process's path in the hierarchy of ``controller`` (empty: version 2), from the text of /proc/<pid>/cgroup."""
    for line in cgroup_file.splitlines():
        _, controllers, path = line.split(":", 2)
        if controller in controllers.split(",") or controllers == controller:
            return path
    return None
