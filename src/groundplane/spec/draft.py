"""What can be understood of a file that has faults, so that one fault doesn't hide the others.

Values that don't fit their types are reported, then left out; the rules run on what remains, and each rule is
skipped where something it looks at was left out.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from groundplane.spec.addressing import roster
from groundplane.spec.document import Document
from groundplane.spec.model import ClusterSpec, Counts, MachineEntry
from groundplane.spec.problem import MOST, Path, Problem, dotted
from groundplane.spec.remedy import Fault
from groundplane.spec.roles import Role
from groundplane.spec.wording import meant_by, worded

# Stands in ``Draft.left_out`` when an entry of the list of machines is missing: nobody can count them then.
ALL_MACHINES: Path = ("machines", "*")

# Each round leaves out what an error names, or the stanza that can't be without it: the depth of the file bounds them.
_ROUNDS = 12
_MANY = 1000


@dataclass(frozen=True)
class Draft:
    """A specification of which parts may have been left out.

    ``entries`` are the places in the file's list of machines that ``spec.machines`` still has; ``left_out`` the paths
    (in the file's keys) that it hasn't.
    """

    spec: ClusterSpec
    document: Document
    entries: tuple[int, ...] = ()
    left_out: frozenset[Path] = frozenset()

    def knows(self, *paths: Path) -> bool:
        """Whether nothing was left out at or around any of ``paths``."""
        return not any(path[:end] in self.left_out for path in paths for end in range(len(path) + 1))

    def states(self, path: Path) -> bool:
        """Whether the file itself has something at ``path``."""
        return path in self.document.marks

    @cached_property
    def machines(self) -> tuple[tuple[Path, MachineEntry], ...]:
        """Every machine with its place in the file: its list entry, or the count that asks for it."""
        if isinstance(self.spec.machines, Counts):
            return tuple((("machines", entry.first.value), entry) for entry in roster(self.spec))
        return tuple(
            (("machines", number), entry) for number, entry in zip(self.entries, self.spec.machines, strict=True)
        )


def understood(document: Document) -> tuple[Draft | None, tuple[Fault, ...], int]:
    """Read ``document`` by the model; return what was understood, the faults of single values (the first ``MOST`` by
    their lines), and how many there are beyond these."""
    kept = _Kept(document)
    faults: tuple[Fault, ...] = ()
    more = 0
    for attempt in range(_ROUNDS):
        details, spec = [*kept.without_role()], None
        try:
            spec = ClusterSpec.model_validate_json(json.dumps(kept.offered()), strict=True)
        except ValidationError as error:
            found = error.errors(include_url=False, include_context=True)
            entries = kept.entries()
            placed = [(kept.path(detail, entries), detail) for detail in found]
            holders = {path[:-1] for path, _ in placed}
            # pydantic counts the entries of a list without the wrong ones.
            details = [each for each in placed if each[1]["type"] != "too_short" or each[0] not in holders] + details
        if spec is not None and not details and document.cut is None:
            return Draft(spec, document, kept.entries(), frozenset(kept.left_out)), faults, more
        if attempt == 0:
            faults, more = _first(document, details)
        if document.cut is not None:
            break
        if len(details) > _MANY:
            # Nobody reads on behind so many: what they are in isn't looked at any further.
            kept.leave_out_stanzas({path[:1] for path, _ in details})
        else:
            for path, detail in details:
                kept.leave_out(path, detail)
    return None, faults, more


def _first(document: Document, details: list[tuple[Path, ErrorDetails]]) -> tuple[tuple[Fault, ...], int]:
    """The faults nearest the file's beginning, in words, and the number of the others."""
    lacking = {path for path, detail in details if detail["type"] == "missing"}
    misspelt: set[Path] = set()
    if lacking:
        wrong = [path for path, detail in details if detail["type"] == "extra_forbidden"]
        misspelt = {meant for path in wrong[:_MANY] for meant in meant_by(document, path)}
    # A required key that is there under a wrong name, or at a wrong place, is one fault, not two.
    told = [
        (path, detail)
        for path, detail in details
        if not (detail["type"] == "missing" and path in misspelt) and not _is_unsure(document, path, detail)
    ]
    told.sort(key=lambda each: _place(document, *each))
    faults = tuple(_fault(document, path, detail) for path, detail in told[:MOST])
    return faults, len(told) - len(faults)


def _is_unsure(document: Document, path: Path, detail: ErrorDetails) -> bool:
    """Whether what was wrong at ``path`` may be right in the whole of a file that was not read to its end."""
    if document.cut is None:
        return False
    half = document.cut[:2]  # a machine, or a key of another stanza
    return path[: len(half)] == half or (detail["type"] == "missing" and len(path) == 1)


def _place(document: Document, path: Path, detail: ErrorDetails) -> tuple[int, int]:
    return document.place(path, key=detail["type"] in ("extra_forbidden", "missing"))


def _fault(document: Document, path: Path, detail: ErrorDetails) -> Fault:
    mark = document.marks.get(path)
    said = worded(path, detail, mark.raw if mark else None, document)
    return Fault(Problem(*_place(document, path, detail), dotted(path), said.message, said.instead), said.remedies)


_GONE = object()


class _Kept:
    """The file's values less those left out. Entries of lists leave a gap, so that the others keep their numbers."""

    def __init__(self, document: Document) -> None:
        self.data: dict[str, object] = json.loads(json.dumps(document.data))
        self.left_out: set[Path] = set()
        self._document = document
        self._unknown: dict[Path, int] = {}

    def offered(self) -> dict[str, object]:
        machines = self.data.get("machines")
        if not isinstance(machines, list):
            return self.data
        return {**self.data, "machines": [entry for entry in machines if entry is not _GONE]}

    def entries(self) -> tuple[int, ...]:
        machines = self.data.get("machines")
        if not isinstance(machines, list):
            return ()
        return tuple(number for number, entry in enumerate(machines) if entry is not _GONE)

    def path(self, detail: ErrorDetails, entries: tuple[int, ...]) -> Path:
        """The place in the file of a pydantic location, which also names the form of ``machines`` and skips gaps;
        ``entries`` as they were when it was made."""
        place = tuple(detail["loc"])
        if place[:1] == ("machines",) and place[1:2] in (("counts",), ("list",)):
            place = (place[0], *place[2:])
            if len(place) > 1 and isinstance(place[1], int):
                place = (place[0], entries[place[1]], *place[2:])
        return place

    def without_role(self) -> Iterator[tuple[Path, ErrorDetails]]:
        """The machines of the list that have neither `role` nor `roles`, or nothing there: each has to, and the model
        can't say so."""
        machines = self.data.get("machines")
        for number, entry in enumerate(machines if isinstance(machines, list) else ()):
            if isinstance(entry, dict) and entry.get("role") is None and entry.get("roles") is None:
                place: Path = ("machines", number, "role")
                yield place, {"type": "missing", "loc": place, "msg": "", "input": None}

    def leave_out(self, path: Path, detail: ErrorDetails) -> None:
        """Take away what ``detail`` complains of; where a value is missing, what can't be without it."""
        if detail["type"] == "missing":
            if path[-1:] in (("name",), ("role",)):
                self._place_holder(path)
                return
            path = path[:-1]
        if detail["type"] == "extra_forbidden":
            self._leave_out_meant(path)
        self.left_out.add(path)
        parent = self._parent(path)
        if isinstance(parent, dict):
            parent.pop(str(path[-1]), None)
            if path[:1] == ("machines",) and path[-1] in ("role", "roles") and len(path) == 3:
                self._place_holder((*path[:-1], "role"))
        elif isinstance(parent, list) and isinstance(path[-1], int):
            if path[:-1] == ("machines",):
                parent[path[-1]] = _GONE
                self.left_out.add(ALL_MACHINES)
            else:
                # A list of plain values: its numbers would shift, so all of it goes.
                self.leave_out(path[:-1], {**detail, "type": "list_type"})

    def leave_out_stanzas(self, paths: set[Path]) -> None:
        """Take away whole values of the file's top level."""
        self.left_out |= paths
        for path in paths:
            self.data.pop(str(path[0]), None)

    def _leave_out_meant(self, path: Path) -> None:
        """What a wrong key was meant to say isn't known either; nor anything of a stanza with very many of them."""
        seen = self._unknown[path[:-1]] = self._unknown.get(path[:-1], 0) + 1
        if seen <= MOST:
            self.left_out |= meant_by(self._document, path)
        else:
            self.left_out.add(path[:-1])

    def _parent(self, path: Path) -> object:
        parent: object = self.data
        for part in path[:-1]:
            if isinstance(parent, dict):
                parent = parent.get(str(part))
            elif isinstance(parent, list) and isinstance(part, int):
                parent = parent[part]
        return parent

    def _place_holder(self, path: Path) -> None:
        """What stands in for a machine's missing name or role, so that the rest of it is looked at.

        A name that collides with no other; a role that asks for nothing, and nobody counts the machines any more.
        """
        self.left_out.add(path)
        parent = self._parent(path)
        if not isinstance(parent, dict):
            return
        if path[-1] == "name":
            parent["name"] = "unnamed-" + "-".join(str(part) for part in path[:-1] if isinstance(part, int)) + "0"
        else:
            parent["role"] = parent.get("role") or Role.WORKER.value
            self.left_out.add(ALL_MACHINES)
