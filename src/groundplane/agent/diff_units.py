"""Changes of units: those no longer wanted, switches for boot, who starts, stops or takes up what it reads. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from groundplane.agent.observed import Observed, UnitSeen
from groundplane.state.change import Action, Change, Kind
from groundplane.state.derived import UNIT_FOLDER, all_mounts, mount_unit
from groundplane.state.model import MachineState, Unit

AT_BOOT = ("enabled", "static", "alias", "generated", "indirect", "transient")
"""States in which nothing more can be enabled; systemctl(1), ``is-enabled``."""


def no_longer_wanted(state: MachineState, seen: Observed) -> Iterator[Change]:
    """Units of ours that the state doesn't name any more: stopped and disabled, before their files go."""
    named = {unit.name for unit in state.units} | {mount_unit(mount.path) for mount in all_mounts(state)}
    for name in seen.manifest.units:
        unit = seen.units.get(name, UnitSeen())
        if name in named:
            continue
        if unit.runs or unit.active == "activating":
            yield Change(Kind.UNIT, name, Action.STOP, "no longer wanted")
        if unit.enablement in ("enabled", "enabled-runtime"):
            yield Change(Kind.UNIT, name, Action.DISABLE, "no longer wanted")
    for name in seen.manifest.masked:
        if name not in named and seen.units.get(name, UnitSeen()).enablement == "masked":
            yield Change(Kind.UNIT, name, Action.UNMASK, "no longer wanted masked")


def wanted(state: MachineState, seen: Observed, rewritten: Sequence[str]) -> Iterator[Change]:
    """The Changes of the state's units, switches first; ``rewritten`` are the paths whose content changes before."""
    for unit in state.units:
        yield from _switches(unit, seen.units.get(unit.name, UnitSeen()))
    for unit in state.units:
        yield from _activity(unit, seen.units.get(unit.name, UnitSeen()), seen, rewritten)


def _switches(unit: Unit, found: UnitSeen) -> Iterator[Change]:
    masked = found.enablement.startswith("masked") or found.load == "masked"
    if unit.masked:
        if not masked:
            yield Change(Kind.UNIT, unit.name, Action.MASK, "not masked")
        return
    if masked:
        yield Change(Kind.UNIT, unit.name, Action.UNMASK, "masked")
    if unit.enabled and found.enablement not in AT_BOOT:
        why = "there is no such unit" if found.load == "not-found" else found.enablement or "not enabled"
        yield Change(Kind.UNIT, unit.name, Action.ENABLE, why)
    if not unit.enabled and found.enablement in ("enabled", "enabled-runtime"):
        yield Change(Kind.UNIT, unit.name, Action.DISABLE, "enabled")


def _activity(unit: Unit, found: UnitSeen, seen: Observed, rewritten: Sequence[str]) -> Iterator[Change]:
    if unit.masked:
        if found.runs or found.comes_up:
            yield Change(Kind.UNIT, unit.name, Action.STOP, "masked units don't run")
    elif unit.active is False:
        if found.runs or found.active == "activating":
            yield Change(Kind.UNIT, unit.name, Action.STOP, f"is {found.active}")
    elif unit.active and not found.runs and not found.comes_up:
        why = "there is no such unit" if found.load == "not-found" else f"is {found.active}"
        why = f"{why}: {found.sub}" if found.active == "activating" else why
        yield Change(Kind.UNIT, unit.name, Action.START, why, since=found.since)
    elif found.active == "failed":
        # Somebody else starts it. What starts at boot may be started now, too; the rest is theirs, once it is cleared.
        action = Action.START if unit.enabled else Action.RESET
        yield Change(Kind.UNIT, unit.name, action, "is failed", since=found.since)
    elif found.runs or found.comes_up:
        yield from _taking_up(unit, seen, rewritten)


def _taking_up(unit: Unit, seen: Observed, rewritten: Sequence[str]) -> Iterator[Change]:
    """A running unit takes up what changes of what it reads, also what an earlier run had no time for."""
    read = [path for path in rewritten if reads(unit, path)]
    action = Action.RELOAD if unit.reloads else Action.RESTART
    if (set(read) & set(unit.restarts)) or unit.name in seen.pending.restart:
        action = Action.RESTART
    if read:
        yield Change(Kind.UNIT, unit.name, action, f"reads {_some(read)}")
    elif unit.name in (*seen.pending.restart, *seen.pending.reload):
        yield Change(Kind.UNIT, unit.name, action, "has not taken up what it reads since that changed")
    elif unit.name in seen.ineffective:
        yield Change(Kind.UNIT, unit.name, action, seen.ineffective[unit.name])


def reads(unit: Unit, path: str) -> bool:
    """Whether ``path`` is what the unit reads, or lies in a folder that it reads."""
    return any(path == read or path.startswith(f"{read.rstrip('/')}/") for read in unit.reads)


def concerns(unit: Unit, path: str) -> bool:
    """Whether a changed ``path`` may be why the unit fails: what it reads, its own file and its drop-ins."""
    own = f"{UNIT_FOLDER}/{unit.name}"
    return reads(unit, path) or path == own or path.startswith(f"{own}.d/")


def _some(paths: Sequence[str]) -> str:
    return paths[0] if len(paths) == 1 else f"{paths[0]} and {len(paths) - 1} more that change"
