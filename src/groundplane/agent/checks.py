"""Whether what should be put in place may be: its own program accepts it, and nothing is in its way."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import suppress

from groundplane.agent import files
from groundplane.agent.hiding import hidden
from groundplane.agent.lock import RUN
from groundplane.agent.machine import Machine
from groundplane.agent.observed import Form, Observed
from groundplane.agent.runner import NOT_FOUND
from groundplane.state.change import Action, Change, Kind, Refused
from groundplane.state.derived import all_files
from groundplane.state.model import File, MachineState


def refusals(machine: Machine, state: MachineState, seen: Observed, changes: Sequence[Change]) -> Iterator[Refused]:
    """The Changes that must not be carried out, and why. Candidates lie in a private folder for a moment."""
    wanted = {file.path: file for file in all_files(state)}
    for change in changes:
        if change.action is Action.REMOVE:
            continue
        found = seen.entries.get(change.key)
        if change.kind in (Kind.FILE, Kind.LINK) and found is not None and found.form is Form.FOLDER:
            yield Refused(change, f"{change.key} is a folder", hint="move it away on the machine, then this again")
        elif change.kind in (Kind.DIRECTORY, Kind.DATA_FOLDER) and found is not None and found.form is not Form.FOLDER:
            yield Refused(change, f"{change.key} is no folder", hint="move it away on the machine, then this again")
        elif change.kind is Kind.FILE and change.key in wanted and wanted[change.key].check:
            yield from _judged(machine, state, wanted[change.key], change, changes)


def _judged(
    machine: Machine, state: MachineState, file: File, change: Change, changes: Sequence[Change]
) -> Iterator[Refused]:
    if _awaits_others(file, change, changes):
        return
    folder = f"{RUN}/check-{os.getpid()}"
    candidate = f"{folder}/{os.path.basename(file.path)}"
    with files.telling("a file can't be checked"):
        files.folders(machine, RUN)
        os.mkdir(machine.at(folder), 0o700)
    try:
        files.put(machine, candidate, file.content, 0o600, os.geteuid(), os.getegid())
        argv = [word.replace("{}", machine.at(candidate)) for word in file.check]
        ran = machine.runner.run(argv)
    finally:
        with suppress(FileNotFoundError):
            os.unlink(machine.at(candidate))
        os.rmdir(machine.at(folder))
    if ran.status == NOT_FOUND:
        yield Refused(change, f"{file.check[0]}, which checks it, is not on the machine", hint="install its package")
    elif ran.status != 0:
        detail = hidden(state, ran.words).replace(machine.at(candidate), file.path)
        hint = "nothing was touched; correct what the cluster file says about it"
        yield Refused(change, f"{file.check[0]} does not accept {file.path}", hint=hint, detail=detail)


def _awaits_others(file: File, change: Change, changes: Sequence[Change]) -> bool:
    """Whether its program can't judge it yet: it isn't installed, or the file names another one that isn't there.

    Then the unit that reads the file is the judge: if it doesn't hold, what was there is put back.
    """
    to_come = [other for other in changes if other.action is Action.CREATE and other != change]
    return any(
        other.kind is Kind.PACKAGE or (other.key.startswith("/") and other.key.encode() in file.content)
        for other in to_come
    )
