"""What goes wrong on a machine, before it is told to the operator's side."""

from __future__ import annotations

import errno

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Final


class AgentError(Exception):
    """Something can't be done: what, what to do about it, and the words of the program behind it."""

    def __init__(self, what: str, *, hint: str = "", detail: str = "") -> None:
        super().__init__(what)
        self.what = what
        self.hint = hint
        self.detail = detail


_HINTS: Final[Mapping[int, str]] = {
    errno.ENOSPC: "make room on the machine's disk, then run the same command again",
    errno.EDQUOT: "make room on the machine's disk, then run the same command again",
    errno.EROFS: "its file system is mounted read-only: see the machine's kernel log, then mount it read-write again",
    errno.EACCES: "the agent must run as root on the machine",
    errno.EPERM: "the agent must run as root, and the file must not be immutable (lsattr)",
}


def of_os(what: str, error: OSError) -> AgentError:
    """The AgentError that an operating system's error is; ``what`` says what was tried."""
    return AgentError(f"{what}: {error.strerror or error}", hint=_HINTS.get(error.errno or 0, ""))
