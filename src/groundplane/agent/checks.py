"""Whether what should be put in place may be: its own program accepts it, and nothing is in its way."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import suppress

from groundplane.agent import files
from groundplane.agent.hiding import hidden
from groundplane.agent.lock import RUN
from groundplane.agent.machine import LocalMachine
from groundplane.agent.observed import Form, Observed
from groundplane.agent.runner import NOT_FOUND
from groundplane.state.change import Action, Change, Kind, Refused
from groundplane.state.derived import all_files
from groundplane.state.model import File, MachineState


def refusals(
    machine: LocalMachine, state: MachineState, seen: Observed, changes: Sequence[Change]
) -> Iterator[Refused]:
    """The Changes that must not be carried out, and why. Candidates lie in a private folder for a moment."""
    wanted = {file.path: file for file in all_files(state)}
    for change in changes:
        if change.action is Action.REMOVE:
            continue
        if refused := _in_the_way(change, seen) or _not_ours_to_mend(state, change, seen):
            yield refused
        elif change.kind is Kind.FILE and change.key in wanted and wanted[change.key].check:
            yield from _judged(machine, state, wanted[change.key], change, changes)


def _in_the_way(change: Change, seen: Observed) -> Refused | None:
    found = seen.entries.get(change.key)
    if found is None:
        return None
    folder = found.form is Form.FOLDER
    away = "move it away on the machine, then this again"
    if change.kind in (Kind.FILE, Kind.LINK, Kind.ARTIFACT) and folder:
        return Refused(change, f"{change.key} is a folder", hint=away)
    if change.kind in (Kind.DIRECTORY, Kind.DATA_FOLDER) and not folder:
        return Refused(change, f"{change.key} is {found.form.value}, not a folder", hint=away)
    return None


def _not_ours_to_mend(state: MachineState, change: Change, seen: Observed) -> Refused | None:
    """What nobody can bring: a program of which nobody knows what it holds, which comes with the machine; data on a
    volume."""
    if change.kind is Kind.ARTIFACT and not change.content:
        found = seen.entries.get(change.key)
        if found is None or found.form is not Form.FILE:
            problem = f"{change.key}, a program of the software bundle, did not come with the machine ({change.why})"
            hint = "`groundplane stop` the machine: an apply starts it with today's bundle below its root tree"
            return Refused(change, problem, hint=hint)
    if change.kind is Kind.VOLUME and change.key in seen.volumes:
        volume = next(volume for volume in state.volumes if f"{volume.group}/{volume.name}" == change.key)
        there = seen.volumes[change.key].filesystem
        if there not in ("", volume.filesystem):
            hint = "its data would be lost: copy it elsewhere and remove the volume (lvremove), then this again"
            return Refused(change, f"{volume.device} holds {there}, not {volume.filesystem}", hint=hint)
    return None


def _judged(
    machine: LocalMachine, state: MachineState, file: File, change: Change, changes: Sequence[Change]
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
