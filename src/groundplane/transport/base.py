"""The one door to a machine."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from pathlib import Path
from typing import Protocol

from groundplane.state.step import Reach
from groundplane.transport.content import LONGEST, Told


def silent(_: int) -> None:
    """For callers who don't count."""


class Transport(Reach, Protocol):
    """A ``Reach`` that can also be listened to while a command runs, and that an operator can sit at.

    ``stream`` yields the lines of stdout, without their ends, as they come. At the end it raises what ``run`` would
    with ``check``; ``timeout`` bounds the whole. Who stops listening (``aclose``) stops the command.

    ``put`` has the machine hold, at ``path``, what the file ``source`` of this computer holds, with root's owner and
    ``mode``; folders above it are made. ``get`` is the other way, and returns the digest. Digests are sha256, written
    as OCI does; content of another ``digest`` is a TransportError. ``told`` hears how many bytes have gone. Files
    appear whole, safely on disk, or not at all: whatever interrupts it, the old file stays.

    ``interactive`` runs ``argv`` (empty: a login shell) on the machine with this process's terminal and
    returns its exit status.
    """

    def stream(
        self, machine: str, argv: Sequence[str], *, stdin: bytes = b"", timeout: float = 600
    ) -> AsyncGenerator[bytes, None]: ...

    async def put(
        self,
        machine: str,
        path: str,
        source: Path,
        *,
        digest: str,
        mode: int = 0o644,
        timeout: float = LONGEST,
        told: Told = silent,
    ) -> None: ...

    async def get(
        self,
        machine: str,
        path: str,
        target: Path,
        *,
        digest: str = "",
        timeout: float = LONGEST,
        told: Told = silent,
    ) -> str: ...

    def interactive(self, machine: str, argv: Sequence[str]) -> int: ...
