"""Programs that were delivered to the machine and wait for their turn, each in a file named by its digest.

Whoever brings them knows nothing of units: the agent puts them in place with all other files, so that units take them
up, and what was there can be had back.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from contextlib import suppress

from groundplane.agent import contents, files
from groundplane.agent.error import AgentError
from groundplane.agent.machine import LocalMachine
from groundplane.state.change import Change, Wanted
from groundplane.state.model import MachineState

INCOMING = f"{files.OURS}/incoming"


def place_of(digest: str) -> str:
    """Where content of that digest waits."""
    return f"{INCOMING}/{digest.replace(':', '-')}"


def lacking(machine: LocalMachine, state: MachineState, changes: Iterable[Change]) -> tuple[Wanted, ...]:
    """What has yet to be delivered before ``changes`` can be carried out."""
    contents_of = {artifact.path: artifact for artifact in state.artifacts}
    wanted = [contents_of[change.key] for change in changes if change.content]
    return tuple(
        Wanted(artifact.path, artifact.digest, artifact.size, place_of(artifact.digest))
        for artifact in wanted
        if _size(machine, place_of(artifact.digest)) != artifact.size
    )


def staged(machine: LocalMachine, path: str, digest: str) -> str:
    """Write the program of that digest beside ``path``, as ``files.staged`` does; what waits is checked before."""
    place = machine.at(place_of(digest))
    with files.telling(f"{path} can't be had from {place_of(digest)}"):
        if contents.digest_of(place) != digest:
            os.unlink(place)
            raise AgentError(
                f"what was delivered for {path} is not what it should be", hint="run the same command again"
            )
        with open(place, "rb") as file:
            return files.staged(machine, path, files.pieces(file), 0o755, os.geteuid(), os.getegid())


def clear(machine: LocalMachine) -> None:
    """Drop all that waits: everything is in its place, or another attempt will bring it again."""
    with suppress(FileNotFoundError), files.telling(f"{INCOMING} can't be cleared"):
        for name in _names(machine):
            os.unlink(machine.at(f"{INCOMING}/{name}"))


def _names(machine: LocalMachine) -> Sequence[str]:
    try:
        return os.listdir(machine.at(INCOMING))
    except FileNotFoundError:
        return ()


def _size(machine: LocalMachine, path: str) -> int:
    try:
        return os.stat(machine.at(path)).st_size
    except FileNotFoundError:
        return -1
