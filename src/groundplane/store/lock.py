"""One groundplane at a time per platform.

The kernel's flock(2) is the lock: it goes with the process, however that ends, so a crash or a reboot leaves nothing
to clean up. The file's content only tells others who holds it. The file itself stays: removing a locked file would
let a third process lock a new one of the same name.
"""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

from groundplane.errors import LockHeld
from groundplane.store.files import unusable
from groundplane.store.who import Who


@dataclass(frozen=True, slots=True)
class Holder:
    """Who holds a lock. ``since`` is UTC, ISO 8601."""

    pid: int
    user: str
    host: str
    command: str
    since: str


@contextmanager
def locked(path: Path, command: str) -> Iterator[None]:
    """Hold the lock at ``path`` while the block runs; LockHeld, at once, where somebody else does.

    ``command`` is shown to those who are refused; no secret in it.
    """
    try:
        # Not inheritable: a machine's process that outlives us must not keep the lock.
        handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise unusable(path, error) from error
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as busy:
            raise _held(path, read_holder(path)) from busy
        except OSError as error:
            raise unusable(path, error) from error
        try:
            _state(handle, command)
            yield
        finally:
            os.ftruncate(handle, 0)
    finally:
        os.close(handle)


def read_holder(path: Path) -> Holder | None:
    """Who says so in the lock file; None where nobody does, or its content is torn."""
    try:
        content = json.loads(path.read_bytes())
        return Holder(
            pid=int(content["pid"]),
            user=str(content["user"]),
            host=str(content["host"]),
            command=str(content["command"]),
            since=str(content["since"]),
        )
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _state(handle: int, command: str) -> None:
    me = Who.am_i()
    since = datetime.now(UTC).isoformat(timespec="seconds")
    holder = Holder(pid=me.pid, user=me.user, host=me.host, command=command, since=since)
    os.ftruncate(handle, 0)
    os.pwrite(handle, json.dumps(asdict(holder)).encode(), 0)


def _held(path: Path, holder: Holder | None) -> LockHeld:
    name = path.stem
    if holder is None:
        return LockHeld("another groundplane works on this platform", where=name, hint="wait until it has ended")
    return LockHeld(
        f"another groundplane works on this platform: `{holder.command}`, process {holder.pid} of {holder.user}"
        f" on {holder.host}, since {holder.since}",
        where=name,
        hint=f"wait until it has ended, or stop it: kill {holder.pid}",
    )
