"""The one door to a machine."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from groundplane.state.step import Reach


class Transport(Reach, Protocol):
    """A ``Reach`` that an operator can also sit at.

    ``interactive`` runs ``argv`` (empty: a login shell) on the machine with this process's terminal and
    returns its exit status.
    """

    def interactive(self, machine: str, argv: Sequence[str]) -> int: ...
