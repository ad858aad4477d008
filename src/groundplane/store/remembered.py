"""How a cluster file is remembered: all its values, the defaults of that time too, and which of them were written.

    {"format": 2, "spec": {…}, "written": ["machines.worker", "name"]}

Format 1 was the bare specification. Whatever is read is of any format up to today's; what is written is of today's.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from groundplane.errors import StoreError
from groundplane.spec.edits import Plain
from groundplane.spec.model import ClusterSpec
from groundplane.spec.settling import written
from groundplane.store.home import FORMAT, newer


@dataclass(frozen=True, slots=True)
class Remembered:
    """A specification, and the keys that its file stated."""

    spec: ClusterSpec
    written: tuple[str, ...]


def to_json(spec: ClusterSpec) -> bytes:
    """The document of ``spec``, ending in a newline."""
    # Nulls as well: a key without a value must not take up a default that it gets later.
    plain: Plain = spec.model_dump(mode="json", by_alias=True)
    document = {"format": FORMAT, "spec": plain, "written": list(written(spec))}
    return json.dumps(document, indent=2, sort_keys=True).encode() + b"\n"


def from_json(content: bytes, path: Path) -> Remembered:
    """Read a document of any format until today's; StoreError where it is damaged or of a newer one. ``path`` is where
    it lies."""
    try:
        document = json.loads(content)
        if not isinstance(document, dict):
            raise ValueError("not a mapping")
        number = document.get("format", 1)
        if type(number) is int and number > FORMAT:
            raise newer(path, number)
        return _READERS[number](document)
    except (ValueError, KeyError, TypeError) as error:
        raise StoreError(
            "what is remembered of the platform's file is damaged",
            where=str(path),
            hint=f"if the cluster file has not changed since, move {path.name} away and run the command again",
            detail=str(error),
        ) from error


def _format_1(document: dict[str, Plain]) -> Remembered:
    """Nothing tells which keys were written. None, then: a value stays until the file states another one."""
    return Remembered(_spec(document), ())


def _format_2(document: dict[str, Plain]) -> Remembered:
    stated = document["written"]
    if not isinstance(stated, list):
        raise TypeError("`written` is not a list")
    return Remembered(_spec(document["spec"]), tuple(str(path) for path in stated))


def _spec(plain: Plain) -> ClusterSpec:
    return ClusterSpec.model_validate_json(json.dumps(plain))


_READERS: Final[Mapping[int, Callable[[dict[str, Plain]], Remembered]]] = {1: _format_1, 2: _format_2}
"""One for each format there ever was."""
