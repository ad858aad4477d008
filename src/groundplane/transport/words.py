"""A command and its output as an error shows them."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from typing import Final

from groundplane.errors import CommandFailed, CommandTimeout
from groundplane.state.step import Completed

TAIL: Final = 20
"""Lines of output kept for an error."""

_LENGTH: Final = 120


def shown(argv: Sequence[str]) -> str:
    """The command line, cut where it is long. A script of ours is shown by its name: its text helps nobody."""
    text = shlex.join(argv[3:] if _is_ours(argv) else argv)
    return text if len(text) <= _LENGTH else text[: _LENGTH - 3] + "..."


def _is_ours(argv: Sequence[str]) -> bool:
    return tuple(argv[:2]) == ("sh", "-c") and len(argv) > 3 and argv[3].startswith("groundplane-")


def tail(output: bytes) -> str:
    """The last lines of a command's output."""
    return "\n".join(output.decode(errors="replace").strip().splitlines()[-TAIL:])


def failed(machine: str, argv: Sequence[str], done: Completed) -> CommandFailed:
    """The error that a command's status other than zero is, with its last words."""
    return CommandFailed(
        f"{shown(argv)} ended with status {done.status}",
        status=done.status,
        where=machine,
        detail=tail(done.stderr) or tail(done.stdout),
    )


def too_late(machine: str, argv: Sequence[str], timeout: float, *, stopped: bool = True) -> CommandTimeout:
    """The error of a command that took too long; ``stopped``: it is known to have ended."""
    return CommandTimeout(
        f"{shown(argv)} did not end within {timeout:g} s",
        where=machine,
        hint="it was stopped" if stopped else "it could not be stopped, and may still run there",
    )
