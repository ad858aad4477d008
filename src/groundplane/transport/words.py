"""A command and its output as an error shows them."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from typing import Final

TAIL: Final = 20
"""Lines of output kept for an error."""

_LENGTH: Final = 120


def shown(argv: Sequence[str]) -> str:
    """The command line, cut where it is long."""
    text = shlex.join(argv)
    return text if len(text) <= _LENGTH else text[: _LENGTH - 3] + "..."


def tail(output: bytes) -> str:
    """The last lines of a command's output."""
    return "\n".join(output.decode(errors="replace").strip().splitlines()[-TAIL:])
