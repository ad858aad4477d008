"""MachineState, Changes and the agent's other words as JSON. Travels with the agent: standard library only.

Both ends run the same version, for the operator sends the agent; a document of any other version, a key too many or
too few, or a value of another type is an error and never a guess.
"""

from __future__ import annotations

import json
from binascii import Error as NotBase64
from binascii import a2b_base64, b2a_base64
from dataclasses import fields, is_dataclass

from groundplane.state import change, model

TYPE_CHECKING = False  # typing's own costs its import, and the agent starts often
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Final, TypeVar

    from _typeshed import DataclassInstance

    T = TypeVar("T")
    Record = TypeVar("Record", bound=DataclassInstance)

VERSION = 1

Event = change.Change | change.Refused | change.Wanted | change.Done | change.AgentFailed | change.Ended


class WireError(ValueError):
    """A document that isn't what it should be."""


def state_to_bytes(state: model.MachineState) -> bytes:
    """The machine's whole state as one JSON document. It holds secrets: it goes by stdin, and lies nowhere."""
    return json.dumps({"version": VERSION, "state": _write(state)}).encode()


def state_from_bytes(data: bytes) -> model.MachineState:
    document = _object(_parsed(data), ("version", "state"), "the request")
    if document["version"] != VERSION:
        raise WireError(f"the request is of version {document['version']}, not {VERSION}")
    return _read(model.MachineState, document["state"])


def event_to_line(event: Event) -> bytes:
    """One line of JSON, without the line's end."""
    return json.dumps({"event": type(event).__name__, "of": _write(event)}).encode()


def event_from_line(line: bytes) -> Event:
    document = _object(_parsed(line), ("event", "of"), "the event")
    name = _checked(document["event"], str, "the event")
    if name not in _EVENTS:
        raise WireError(f"there is no event {name}")
    return _EVENTS[name](document["of"])


def _parsed(data: bytes) -> object:
    try:
        document: object = json.loads(data)
    except ValueError as error:
        raise WireError("this is no JSON") from error
    return document


def _write(value: object) -> object:
    """A value of the vocabulary as JSON's types. What a field's type is decides how it is read back."""
    if isinstance(value, bytes):
        return b2a_base64(value, newline=False).decode()
    if isinstance(value, tuple):
        return [_write(item) for item in value]
    if is_dataclass(value):
        return {part.name: _write(getattr(value, part.name)) for part in fields(value)}
    return value


def _read(kind: type[Record], value: object) -> Record:
    parts = fields(kind)
    document = _object(value, tuple(part.name for part in parts), kind.__name__)
    # Annotations are text here, whatever Python's version: both modules say "from __future__ import annotations".
    return kind(**{part.name: _reader(str(part.type))(document[part.name]) for part in parts})


def _object(value: object, keys: tuple[str, ...], what: str) -> dict[str, object]:
    document = _checked(value, dict, what)
    if sorted(document) != sorted(keys):
        raise WireError(f"{what} has the keys {', '.join(sorted(document))}, not {', '.join(sorted(keys))}")
    return document


def _checked(value: object, kind: type[T], what: str) -> T:
    # JSON's true is no number, though Python's is.
    if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
        raise WireError(f"{what} is {type(value).__name__}, not {kind.__name__}")
    return value


def _reader(annotation: str) -> Callable[[object], object]:
    """How a field of a type, as its annotation spells it, is read."""
    if annotation.endswith(" | None"):
        inner = _reader(annotation[: -len(" | None")])
        return lambda value: None if value is None else inner(value)
    if annotation.startswith("tuple["):
        item = _reader(annotation[len("tuple[") : -len(", ...]")])
        return lambda value: tuple(item(each) for each in _checked(value, list, "a list"))
    return _READERS[annotation]


def _of(kind: type[Record]) -> Callable[[object], Record]:
    return lambda value: _read(kind, value)


def _bytes(value: object) -> bytes:
    text = _checked(value, str, "content")
    try:
        data = a2b_base64(text)
    except (NotBase64, ValueError) as error:
        raise WireError("content is no base64") from error
    if b2a_base64(data, newline=False).decode() != text:
        raise WireError("content is no base64")
    return data


def _float(value: object) -> float:
    return float(value) if type(value) is int else _checked(value, float, "a number")


def _kind(value: object) -> change.Kind:
    try:
        return change.Kind(value)
    except ValueError as error:
        raise WireError(f"there is no kind {value}") from error


def _action(value: object) -> change.Action:
    try:
        return change.Action(value)
    except ValueError as error:
        raise WireError(f"there is no action {value}") from error


_READERS: Final[Mapping[str, Callable[[object], object]]] = {
    "str": lambda value: _checked(value, str, "a text"),
    "int": lambda value: _checked(value, int, "a number"),
    "bool": lambda value: _checked(value, bool, "a switch"),
    "float": _float,
    "bytes": _bytes,
    "Kind": _kind,
    "Action": _action,
    "Change": _of(change.Change),
    **{
        kind.__name__: _of(kind)
        for kind in (
            model.Address,
            model.Artifact,
            model.DataFolder,
            model.Directory,
            model.File,
            model.HostName,
            model.Symlink,
            model.Mount,
            model.Package,
            model.Sysctl,
            model.Unit,
            model.User,
            model.Volume,
        )
    },
}

_EVENTS: Final[Mapping[str, Callable[[object], Event]]] = {
    kind.__name__: _of(kind)
    for kind in (change.Change, change.Refused, change.Wanted, change.Done, change.AgentFailed, change.Ended)
}
