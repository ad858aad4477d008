"""Running the host's tools, with their complaint in the error."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Final, Protocol

from groundplane.errors import HostError, MachineError
from groundplane.transport.nspawn import end

PATIENCE: Final = 30.0
"""Seconds a tool may take; each asks the kernel for something that takes milliseconds."""


class HostTool(Protocol):
    """Runs a tool of the host and returns what it wrote; MachineError when it ends badly."""

    async def __call__(self, argv: Sequence[str], *, stdin: str = "") -> str: ...


async def run(argv: Sequence[str], *, stdin: str = "") -> str:
    """The real HostTool."""
    try:
        process = await asyncio.create_subprocess_exec(
            *argv,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            start_new_session=True,
        )
    except FileNotFoundError as error:
        raise HostError(f"{argv[0]} isn't installed", hint="`groundplane doctor` names its package") from error
    try:
        async with asyncio.timeout(PATIENCE):
            out, complaint = await process.communicate(stdin.encode())
    except TimeoutError as late:
        await end(process)
        raise MachineError(f"{argv[0]} did not end within {PATIENCE:.0f} s", where=" ".join(argv)) from late
    except BaseException:
        await end(process)
        raise
    if process.returncode != 0:
        raise MachineError(
            f"{argv[0]} ended with status {process.returncode}",
            where=" ".join(argv),
            detail=complaint.decode(errors="replace").strip(),
        )
    return out.decode(errors="replace")
