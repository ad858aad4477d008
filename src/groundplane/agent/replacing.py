"""Puts all files of a run in place: every one is safely on disk under another name before the first takes its place.

What lay there is kept, and what has to be taken up is written down first, so a run that is cut off at any point can be
finished, or undone, by the next.
"""

from __future__ import annotations

from dataclasses import dataclass

from groundplane.agent import files, incoming
from groundplane.agent.accounts import accounts
from groundplane.agent.diff_units import concerns
from groundplane.agent.error import AgentError
from groundplane.agent.ours import write_pending
from groundplane.agent.pending import Pending, Replaced
from groundplane.agent.run import Run, Stopped
from groundplane.state.change import Action, Change, Done, Kind
from groundplane.state.derived import MANIFEST, all_files
from groundplane.state.model import Unit

TAKING_UP = (Action.START, Action.RESTART, Action.RELOAD)


@dataclass(frozen=True, slots=True)
class Replacement:
    """What is pending now, and the Changes of files that hold only once a unit has taken them up: not yet told."""

    pending: Pending
    untold: tuple[Done, ...]


def replace(run: Run) -> Replacement:
    """Carry out the Changes of files, all of them or none."""
    changes = tuple(change for change in run.of(Kind.FILE, Kind.ARTIFACT) if _is_placed(change))
    temporaries = _staged(run, changes)
    pending = _prepared(run, changes, temporaries)
    return Replacement(pending, tuple(_placed(run, changes, temporaries)))


def _is_placed(change: Change) -> bool:
    return bool(change.content) if change.kind is Kind.ARTIFACT else change.key != MANIFEST


def _staged(run: Run, changes: tuple[Change, ...]) -> dict[str, str]:
    """The new files, by the path each is for, under names of their own; the first that can't be written ends it."""
    wanted = {file.path: file for file in all_files(run.state)}
    known = accounts(run.machine)
    temporaries: dict[str, str] = {}
    for change in changes:
        if change.action is Action.REMOVE:
            continue
        try:
            if change.kind is Kind.ARTIFACT:
                temporaries[change.key] = incoming.staged(run.machine, change.key, change.content)
            else:
                file = wanted[change.key]
                owner = (known.user(file.owner), known.group(file.group))
                temporaries[file.path] = files.staged(run.machine, file.path, file.content, file.mode, *owner)
        except AgentError as problem:
            _abandoned(run, temporaries)
            run.failed(change, 0.0, problem)
            raise Stopped from problem
    return temporaries


def _prepared(run: Run, changes: tuple[Change, ...], temporaries: dict[str, str]) -> Pending:
    """Keep what lies there and write down what is pending. What an earlier run kept is older, and known to hold."""
    taking_up = _taking_up(run)
    replaced: dict[str, Replaced] = {}
    try:
        for file in run.seen.pending.files:
            if any(concerns(unit, file.path) for unit in taking_up):
                replaced[file.path] = file
            else:
                files.forget_kept(run.machine, file.path)  # nothing waits for it any more
        for change in changes:
            if change.key not in replaced:
                replaced[change.key] = Replaced(change.key, files.keep(run.machine, change.key))
        pending = Pending(
            files=tuple(replaced.values()),
            restart=_names(run, Action.RESTART),
            reload=_names(run, Action.RELOAD),
        )
        write_pending(run.machine, pending)
    except AgentError:
        _abandoned(run, temporaries)
        raise
    return pending


def _names(run: Run, action: Action) -> tuple[str, ...]:
    return tuple(change.key for change in run.of(Kind.UNIT) if change.action is action)


def _taking_up(run: Run) -> list[Unit]:
    """The units that start, restart or reload once the files are in place."""
    units = run.units()
    return [units[change.key] for change in run.of(Kind.UNIT) if change.action in TAKING_UP]


def _abandoned(run: Run, temporaries: dict[str, str]) -> None:
    for temporary in temporaries.values():
        files.discard(run.machine, temporary)


def _placed(run: Run, changes: tuple[Change, ...], temporaries: dict[str, str]) -> list[Done]:
    """Move all into place. Return those that are not told yet."""
    taking_up = _taking_up(run)
    untold = []
    for change in changes:
        begin = run.machine.monotonic()
        try:
            if change.action is Action.REMOVE:
                files.discard(run.machine, change.key)
            else:
                files.place(run.machine, temporaries[change.key], change.key)
        except AgentError as problem:
            _abandoned(run, temporaries)
            run.failed(change, run.machine.monotonic() - begin, problem)
            raise Stopped from problem
        done = Done(change, run.machine.monotonic() - begin)
        if any(concerns(unit, change.key) for unit in taking_up):
            untold.append(done)
        else:
            run.tell(done)
    return untold
