"""What to write instead, as an act on the file: so that it can be tried before anybody is told to do it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final

from groundplane.spec.document import Document, Value
from groundplane.spec.problem import Path, Problem


@dataclass(frozen=True, slots=True)
class Absent:
    """Stands for the value of a key that is taken away."""


ABSENT: Final = Absent()
Edit = tuple[Path, Value | Absent]
Edits = tuple[Edit, ...]


@dataclass(frozen=True, slots=True)
class Remedy:
    """Words that name something to write, and the ``ways`` to follow them: each a few edits of the file. They may be
    shown only where every way leads to a file with this problem gone and no other come."""

    words: str
    ways: tuple[Edits, ...]


@dataclass(frozen=True, slots=True)
class Fault:
    """A problem whose ``instead`` is right in any file, and what is better said where it holds, best first."""

    problem: Problem
    remedies: tuple[Remedy, ...] = ()

    def with_words(self, words: str) -> Problem:
        """The problem with these words for what to write."""
        return replace(self.problem, instead=words)


def write(path: Path, value: Value, words: str) -> Remedy:
    """Write ``value`` at ``path``."""
    return Remedy(words, (((path, value),),))


def move(path: Path, to: Path, value: Value, words: str) -> Remedy:
    """Give the value at ``path`` to the key at ``to``."""
    return Remedy(words, (((path, ABSENT), (to, value)),))


def edited(document: Document, edits: Edits) -> Document | None:
    """The document after ``edits``, or None where they would overwrite what the file says elsewhere."""
    data: dict[str, Value] = document.data
    marks = dict(document.marks)
    for path, value in edits:
        taken = {gone for gone, what in edits if what is ABSENT}
        if taken and path not in taken and path in document.marks:
            return None
        changed = _with(data, path, value)
        if not isinstance(changed, dict):
            return None
        data = changed
        if isinstance(value, Absent):
            marks.pop(path, None)
        else:
            for end in range(1, len(path) + 1):
                marks.setdefault(path[:end], document.marks[()])
    return Document(data, marks, ())


def _with(holder: Value, path: Path, value: Value | Absent) -> Value | Absent:
    """``holder`` with ``value`` at ``path``; only what is on the way is copied. Absent: there is no such way."""
    if not path:
        return value
    first, rest = path[0], path[1:]
    if isinstance(holder, dict) and isinstance(first, str):
        inner = _with(holder.get(first, {}), rest, value)
        if isinstance(inner, Absent):
            return {key: kept for key, kept in holder.items() if key != first} if not rest else ABSENT
        return {**holder, first: inner}
    if isinstance(holder, list) and isinstance(first, int) and first <= len(holder):
        inner = _with(holder[first] if first < len(holder) else {}, rest, value)
        return ABSENT if isinstance(inner, Absent) else [*holder[:first], inner, *holder[first + 1 :]]
    return ABSENT


def value_at(data: Mapping[str, Value], path: Path) -> Value | Absent:
    """What the file has at ``path``."""
    found: Value | Mapping[str, Value] = data
    for part in path:
        match found, part:
            case Mapping(), str() if part in found:
                found = found[part]
            case list(), int() if part < len(found):
                found = found[part]
            case _:
                return ABSENT
    return dict(found) if isinstance(found, Mapping) else found
