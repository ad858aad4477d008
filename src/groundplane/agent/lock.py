"""One run at a time on a machine that is being changed."""

from __future__ import annotations

import fcntl
import os
from contextlib import contextmanager

from groundplane.agent import files
from groundplane.agent.error import AgentError
from groundplane.agent.machine import LocalMachine

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

RUN = "/run/groundplane"
LOCK = f"{RUN}/agent.lock"


@contextmanager
def held(machine: LocalMachine, *, alone: bool) -> Iterator[None]:
    """Hold the machine's lock in the block, ``alone`` or beside others that only look; AgentError if it is taken.

    The kernel drops it with the process, however that ends.
    """
    with files.telling("the machine's lock can't be taken"):
        files.folders(machine, RUN)
        handle = os.open(machine.at(LOCK), os.O_RDWR | os.O_CREAT, 0o600)
    try:
        try:
            fcntl.flock(handle, (fcntl.LOCK_EX if alone else fcntl.LOCK_SH) | fcntl.LOCK_NB)
        except BlockingIOError as taken:
            raise AgentError(
                f"somebody else's groundplane works on this machine{_holder(handle)}",
                hint="wait until it has ended, then run the same command again",
            ) from taken
        if alone:
            os.ftruncate(handle, 0)
            os.pwrite(handle, str(os.getpid()).encode(), 0)
        yield
    finally:
        os.close(handle)


def _holder(handle: int) -> str:
    pid = os.pread(handle, 20, 0).decode(errors="replace")
    return f" (process {pid} there)" if pid.isdigit() else ""
