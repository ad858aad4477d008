"""Carries out the Changes of units, and sees to it that they hold.

All that has to start or restart is named in one call, so systemd orders it. A unit that then doesn't run has what it
reads put back and is started again with that: a change that failed leaves the machine as it was.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from groundplane.agent import effects, files, systemd
from groundplane.agent.diff_units import concerns
from groundplane.agent.error import AgentError
from groundplane.agent.observed import UnitSeen
from groundplane.agent.ours import write_pending
from groundplane.agent.pending import Pending, Replaced
from groundplane.agent.replacing import TAKING_UP, Replacement
from groundplane.agent.run import Run, Stopped
from groundplane.state.change import Action, Change, Done, Kind
from groundplane.state.model import Unit

_UNIT_FOLDERS = ("/etc/systemd/", "/run/systemd/", "/usr/lib/systemd/", "/usr/local/lib/systemd/")
_SWITCHES = (Action.MASK, Action.UNMASK, Action.DISABLE, Action.STOP, Action.ENABLE)
"""In this order: nothing starts that must not run, and what was masked can be enabled."""
_LINKS = (Action.MASK, Action.UNMASK, Action.DISABLE, Action.ENABLE)
"""Those that only lay or remove links, which systemd reads when it is told to."""


def retire(run: Run) -> None:
    """Stop and disable what is ours and no longer wanted, while its files are still there."""
    named = run.units()
    for action in (Action.STOP, Action.DISABLE, Action.UNMASK):
        _together(run, action, [change for change in run.of(Kind.UNIT) if change.key not in named])


def take_up(run: Run, replacement: Replacement) -> None:
    """Have every unit as it should be, with the files that were just replaced."""
    named = run.units()
    changes = [change for change in run.of(Kind.UNIT) if change.key in named]
    for action in _SWITCHES:
        _together(run, action, changes, *(("--no-reload",) if action in _LINKS else ()))
    switched = any(change.action in _LINKS for change in changes)
    if switched or _concern_systemd(file.path for file in replacement.pending.files) or _stale(run):
        _reload_units(run)  # once, after all that systemd has to read anew
    _cleared(run, changes)
    failed = {**_restarted(run, changes), **_reloaded(run, changes)}
    if failed:
        _undo(run, replacement, changes, failed)
        raise Stopped
    for done in replacement.untold:
        run.tell(done)
    _settle(run, replacement.pending)


def _stale(run: Run) -> bool:
    return any(unit.stale for unit in run.seen.units.values())


def _concern_systemd(paths: Iterable[str]) -> bool:
    return any(path.startswith(_UNIT_FOLDERS) for path in paths)


def _reload_units(run: Run) -> None:
    systemd.demand(run.machine, "daemon-reload")


def _together(run: Run, action: Action, changes: Sequence[Change], *options: str) -> None:
    chosen = [change for change in changes if change.action is action]
    if chosen:
        names = [change.key for change in chosen]
        with run.carrying_out(*chosen):
            systemd.demand(run.machine, action.value, *options, *names)
        if action is Action.STOP:
            systemd.act(run.machine, "reset-failed", *names)  # how it ended is nobody's concern: it isn't to run


def _cleared(run: Run, changes: Sequence[Change]) -> None:
    if chosen := [change for change in changes if change.action is Action.RESET]:
        with run.carrying_out(*chosen):
            systemd.demand(run.machine, "reset-failed", *(change.key for change in chosen))


def _restarted(run: Run, changes: Sequence[Change]) -> Mapping[Change, AgentError]:
    """Start and restart. Returns the Changes that failed; of the others it tells."""
    chosen = [change for change in changes if change.action in (Action.START, Action.RESTART)]
    if not chosen:
        return {}
    names = [change.key for change in chosen]
    before = run.seen.units
    begin, since = run.machine.monotonic(), run.machine.now()
    if failed := [name for name in names if before.get(name, UnitSeen()).active == "failed"]:
        systemd.act(run.machine, "reset-failed", *failed)  # one that failed often would not be started at all
    ran = systemd.act(run.machine, "restart", *names)
    after = systemd.settled(run.machine, names)
    seconds = (run.machine.monotonic() - begin) / len(chosen)
    problems = {}
    for change in chosen:
        unit = after[change.key]
        anew = unit.runs and unit.active_since != before.get(change.key, UnitSeen()).active_since
        lacking = _lacking(run, change.key) if anew else ""
        if anew and not lacking:
            run.tell(Done(change, seconds))
        else:
            state = f"{unit.active} ({unit.sub})" if not unit.runs else lacking or "still as it was"
            detail = systemd.journal(run.machine, change.key, since) or ran.words
            problems[change] = AgentError(f"{change.key} did not {change.action.value}: it is {state}", detail=detail)
    return problems


def _reloaded(run: Run, changes: Sequence[Change]) -> Mapping[Change, AgentError]:
    """Reload, one by one: a call for several doesn't say which of them failed. Returns as ``_restarted`` does."""
    problems = {}
    for change in changes:
        if change.action is not Action.RELOAD:
            continue
        begin, since = run.machine.monotonic(), run.machine.now()
        ran = systemd.act(run.machine, "reload", change.key)
        unit = systemd.settled(run.machine, [change.key])[change.key]
        well = ran.status == 0 and unit.runs
        lacking = _lacking(run, change.key) if well else ""
        # Whoever starts it may have stopped it in the meantime, as Pacemaker does: it begins with what is there now.
        waits = unit.active == "inactive" and run.units()[change.key].active is None
        if waits or (well and not lacking):
            run.tell(Done(change, run.machine.monotonic() - begin))
        else:
            state = lacking or f"it is {unit.active}"
            detail = systemd.journal(run.machine, change.key, since) or ran.words
            problems[change] = AgentError(f"{change.key} did not take up what it reads: {state}", detail=detail)
    return problems


def _lacking(run: Run, name: str) -> str:
    """What is still missing of the unit's effect, now that it has taken up what it reads."""
    return effects.missing(effects.ask(run.machine, [run.units()[name]])).get(name, "")


def _undo(run: Run, replacement: Replacement, changes: Sequence[Change], failed: Mapping[Change, AgentError]) -> None:
    """Put back the files that the failed units read, have every unit that runs with the new ones take up the old, and
    tell how each Change ended."""
    named = run.units()
    culprits = [named[change.key] for change in failed]
    back = [file for file in replacement.pending.files if _blamed(run, file, culprits)]
    for file in back:
        files.put_back(run.machine, file.path, file.kept)
    took_up = [named[change.key] for change in changes if change.action in TAKING_UP]
    running = _again(run, took_up, back) if back else {}
    for change, problem in failed.items():
        run.failed(change, 0.0, AgentError(problem.what, hint=_hint(change, back, running), detail=problem.detail))
    paths = {file.path for file in back}
    for done in replacement.untold:
        undone = "put back as it was: a unit that reads it failed with it" if done.change.key in paths else ""
        run.tell(replace(done, problem=undone))
    _settle(run, replacement.pending)


def _settle(run: Run, pending: Pending) -> None:
    """Forget what was pending: it was taken up, or put back."""
    for file in pending.files:
        files.forget_kept(run.machine, file.path)
    write_pending(run.machine, Pending())


def _blamed(run: Run, file: Replaced, culprits: Sequence[Unit]) -> bool:
    """Whether to put ``file`` back: a failed unit reads it, and it ran with what was there before.

    A file that wasn't there before goes only if such a unit did run without it.
    """
    return any(
        concerns(unit, file.path) and (file.kept or run.seen.units.get(unit.name, UnitSeen()).runs) for unit in culprits
    )


def _again(run: Run, units: Sequence[Unit], back: Sequence[Replaced]) -> Mapping[str, UnitSeen]:
    """Reload or restart those of ``units`` that read a file of ``back``, so that they run with what was put back.

    Returns how these units are then.
    """
    concerned = [unit for unit in units if any(concerns(unit, file.path) for file in back)]
    names = [unit.name for unit in concerned]
    if _concern_systemd(file.path for file in back):
        _reload_units(run)
    now = systemd.seen(run.machine, names)
    reload = [unit.name for unit in concerned if unit.reloads and now[unit.name].runs]
    restart = [name for name in names if name not in reload]
    if reload:
        systemd.act(run.machine, "reload", *reload)
    if restart:
        systemd.act(run.machine, "reset-failed", *restart)
        systemd.act(run.machine, "restart", *restart)
    return systemd.settled(run.machine, names)


def _hint(change: Change, back: Sequence[Replaced], running: Mapping[str, UnitSeen]) -> str:
    if change.key not in running:
        return f"nothing it reads was changed: see `journalctl --unit={change.key}` on the machine"
    paths = ", ".join(file.path for file in back)
    if running[change.key].runs:
        return f"it runs again with {paths} as before; correct what the cluster file says, then this again"
    return f"{paths} is as before, and it fails with that too: see `journalctl --unit={change.key}` on the machine"
