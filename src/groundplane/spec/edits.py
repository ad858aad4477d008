"""How two cluster files differ, in what a platform that stands would notice. Pure.

Machines are compared by name, and addresses and cards by what they come out as: counts and the list that says the same
are no change, nor is a default that somebody writes down. Whom the coming or going of others would move, because
nothing but the order of the file gave it its place, is found in the same way.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from groundplane.errors import FileChanged
from groundplane.spec.addressing import lay_out_addresses, roster
from groundplane.spec.cards import lay_out_cards
from groundplane.spec.model import ClusterSpec, MachineEntry
from groundplane.spec.transitions import CARRIED_OUT, TABLE, Transition, way

Plain = None | bool | int | float | str | list["Plain"] | dict[str, "Plain"]
"""What JSON can say."""


@dataclass(frozen=True, slots=True)
class Edit:
    """One thing that differs: ``path`` as ``network.lan`` or ``machines.cp1.size.memory``; "" stands for absent.

    A machine that comes or goes is one edit, its role the value. ``effect`` says what happens or why it can't,
    ``instead`` what to do where it can't.
    """

    path: str
    old: str
    new: str
    transition: Transition
    effect: str = ""
    instead: str = ""

    def __str__(self) -> str:
        return f"{self.path}: {self.old or '(nothing)'} → {self.new or '(nothing)'}"


def edits(old: ClusterSpec, new: ClusterSpec) -> tuple[Edit, ...]:
    """All that differs, in the order of the file's keys; machines in the order of ``roster``, those that go at the end.

    Both must be specifications that ``load`` accepts, or once did.
    """
    return (*_keys(old, new), *_machines(old, new))


def refuse(found: Iterable[Edit], platform: str) -> None:
    """FileChanged with every edit that a platform that stands can't follow, its reason and its remedy."""
    told: dict[tuple[str, str], list[str]] = {}
    for edit in found:
        if edit.transition not in CARRIED_OUT:
            told.setdefault(_why_not(edit), []).append(str(edit))
    if told:
        raise FileChanged(
            "a platform that stands can't be changed in this way",
            where=platform,
            hint="do what is said of each, or take it back; nothing has been changed."
            " `groundplane explain` says of every key what changing it means",
            detail="\n".join(
                line
                for (reason, instead), lines in told.items()
                for line in (*lines, f"    {reason}", f"    → {instead}")
            ),
        )


def _why_not(edit: Edit) -> tuple[str, str]:
    if edit.transition is Transition.NEVER:
        return edit.effect, edit.instead
    return f"this groundplane can't carry that out yet ({edit.transition})", "take it back"


def _edit(path: str, old: str, new: str, key: str) -> Edit:
    """``key`` is the row of the table that ``path`` belongs to."""
    found = way(key, old, new)
    return Edit(path, old, new, found.transition, found.effect, found.instead.replace("{old}", old))


def _keys(old: ClusterSpec, new: ClusterSpec) -> Iterator[Edit]:
    """What differs outside ``machines``."""
    before, after = _values(old), _values(new)
    if old.network.lan == new.network.lan:  # where it isn't, addresses follow from it, and it alone is what changed
        before |= _worked_out(old)
        after |= _worked_out(new)
    for path in TABLE:
        was, becomes = before.get(path, ""), after.get(path, "")
        if was != becomes:
            yield _edit(path, was, becomes, path)


def _worked_out(spec: ClusterSpec) -> Mapping[str, str]:
    """The network's values that have a default which depends on others."""
    addressing = lay_out_addresses(spec)
    return {
        "network.floating-address": str(addressing.floating),
        "network.dhcp-pool.first": str(addressing.pool_first),
        "network.dhcp-pool.last": str(addressing.pool_last),
    }


def _values(spec: ClusterSpec) -> dict[str, str]:
    """Every value outside ``machines``, as one would write it."""
    plain: Plain = spec.model_dump(mode="json", by_alias=True, exclude={"machines"})
    return dict(_leaves("", plain))


def _leaves(path: str, value: Plain) -> Iterator[tuple[str, str]]:
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from _leaves(f"{path}.{key}" if path else key, inner)
    else:
        yield path, _written(value)


def _written(value: Plain) -> str:
    if value is None:
        return ""
    if isinstance(value, list):
        return ", ".join(map(_written, value))
    if isinstance(value, bool):
        return str(value).lower()
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)


@dataclass(frozen=True, slots=True)
class _Machine:
    """A machine with what its defaults come out as."""

    entry: MachineEntry
    mac: str
    address: str


def _machines(old: ClusterSpec, new: ClusterSpec) -> Iterator[Edit]:
    before, after = _by_name(old), _by_name(new)
    for name, machine in after.items():
        was = before.get(name)
        if was is None:
            yield _edit(f"machines.{name}", "", _roles(machine), f"machines.{machine.entry.first}")
        elif was.entry.all_roles != machine.entry.all_roles:  # what else differs follows from that
            key = "role" if len(was.entry.all_roles) == len(machine.entry.all_roles) == 1 else "roles"
            yield _edit(f"machines.{name}.{key}", _roles(was), _roles(machine), f"machines[].{key}")
        else:
            yield from _machine(was, machine, moved=old.network.lan != new.network.lan, renamed=old.name != new.name)
    for name, machine in before.items():
        if name not in after:
            yield _edit(f"machines.{name}", _roles(machine), "", f"machines.{machine.entry.first}")


def _roles(machine: _Machine) -> str:
    return ", ".join(role.value for role in machine.entry.all_roles)


def _by_name(spec: ClusterSpec) -> dict[str, _Machine]:
    laid_out = zip(roster(spec), lay_out_cards(spec), lay_out_addresses(spec).machines, strict=True)
    return {entry.name: _Machine(entry, mac, str(address)) for entry, mac, address in laid_out}


def _machine(old: _Machine, new: _Machine, *, moved: bool, renamed: bool) -> Iterator[Edit]:
    """What differs of one machine. ``moved``: the LAN is another one, ``renamed``: the platform is; addresses and cards
    then follow from that."""
    name = new.entry.name
    if old.mac != new.mac and not renamed:
        yield _edit(f"machines.{name}.mac", old.mac, new.mac, "machines[].mac")
    if old.address != new.address and not moved:
        yield _edit(f"machines.{name}.address", old.address, new.address, "machines[].address")
    before, after = _size(old.entry), _size(new.entry)
    for what in after:
        if before[what] != after[what]:
            yield _edit(f"machines.{name}.size.{what}", before[what], after[what], f"machines[].size.{what}")


def _size(entry: MachineEntry) -> Mapping[str, str]:
    size = entry.size
    return {"cpus": _written(size.cpus if size else None), "memory": _written(size.memory if size else None)}
