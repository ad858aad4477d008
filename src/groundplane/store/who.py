"""Who does something, as the lock and the journal state it."""

from __future__ import annotations

import os
import platform
import pwd
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

Alive = Callable[[str], bool]


@dataclass(frozen=True, slots=True)
class Who:
    """A user on a host. ``process`` tells one process from every other one, also after a reboot."""

    user: str
    host: str
    pid: int
    process: str

    @classmethod
    def am_i(cls, environ: Mapping[str, str] = os.environ) -> Who:
        uid = os.geteuid()
        try:
            user = pwd.getpwuid(uid).pw_name
        except KeyError:
            user = str(uid)
        behind = environ.get("SUDO_USER", "")
        pid = os.getpid()
        return cls(
            user=f"{behind} (as {user})" if behind and behind != user else user,
            host=platform.node(),
            pid=pid,
            process=identity(pid),
        )


def identity(pid: int) -> str:
    """The boot's id, ``pid`` and the process's start (clock ticks after boot); "" when there is no such process.

    A pid alone is not enough: it is given away again, soon after a reboot.
    """
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        # proc(5): the second field is the command in parentheses and may hold anything; starttime is the 22nd.
        started = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19]
    except (OSError, IndexError):
        return ""
    return f"{boot}/{pid}/{started}"


def alive(process: str) -> bool:
    """Whether the process that ``identity`` named still runs on this computer."""
    pid = process.split("/")[1] if process.count("/") == 2 else ""
    return pid.isdigit() and identity(int(pid)) == process
