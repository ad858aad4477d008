"""The one door to a machine."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from typing import Protocol

from groundplane.state.step import Reach


class Transport(Reach, Protocol):
    """A ``Reach`` that can also be listened to while a command runs, and that an operator can sit at.

    ``stream`` yields the lines of stdout, without their ends, as they come. At the end it raises what ``run`` would
    with ``check``; ``timeout`` bounds the whole. Who stops listening (``aclose``) stops the command.

    ``interactive`` runs ``argv`` (empty: a login shell) on the machine with this process's terminal and
    returns its exit status.
    """

    def stream(
        self, machine: str, argv: Sequence[str], *, stdin: bytes = b"", timeout: float = 600
    ) -> AsyncGenerator[bytes, None]: ...

    def interactive(self, machine: str, argv: Sequence[str]) -> int: ...
