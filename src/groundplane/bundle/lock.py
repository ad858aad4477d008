"""One writer per bundle cache."""

from __future__ import annotations

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Event
from typing import Final

from groundplane.errors import Interrupted
from groundplane.events import Emit, Progress, doing
from groundplane.store.files import private_folder

LOOK: Final = 0.5
"""Seconds between two looks at a lock another process holds."""


@contextmanager
def locked(cache: Path, emit: Emit, cancel: Event | None = None) -> Iterator[None]:
    """One writer per cache. A second one waits: what it wants is most likely just being made.

    Raises Interrupted when ``cancel`` is set meanwhile.
    """
    stopped = cancel or Event()
    private_folder(cache)
    with (cache / "lock").open("w") as lock:
        if not _taken(lock.fileno()):
            with doing(emit, "bundle", "wait"):
                emit(Progress("bundle", "wait", note="another groundplane is filling this cache"))
                while not _taken(lock.fileno()):
                    if stopped.wait(LOOK):
                        raise Interrupted("stopped while another groundplane was filling the cache", where=str(cache))
        yield


def _taken(handle: int) -> bool:
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
