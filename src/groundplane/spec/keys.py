"""Every key a cluster file may have, read off the model: for explaining, for wording problems, for suggestions."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from difflib import get_close_matches
from enum import StrEnum
from functools import cache, lru_cache
from ipaddress import IPv4Address, IPv4Interface, IPv4Network, IPv6Network
from types import NoneType, UnionType
from typing import Annotated, Any, Final, Literal, Union, get_args, get_origin

from pydantic import TypeAdapter, ValidationError
from pydantic.fields import FieldInfo

from groundplane.spec.document import plain_scalar
from groundplane.spec.model import ClusterSpec, Stanza, ValueKind
from groundplane.spec.problem import Path

_KINDS: Final[Mapping[object, ValueKind]] = {
    IPv4Address: ValueKind("an IPv4 address", "10.80.0.10"),
    IPv4Interface: ValueKind("an IPv4 address with its prefix", "192.0.2.2/24"),
    IPv4Network: ValueKind("an IPv4 range", "10.80.0.0/24"),
    IPv6Network: ValueKind("an IPv6 range", "fd00:80::/64"),
    str: ValueKind("text", "text"),
    int: ValueKind("a whole number", "3"),
    float: ValueKind("a number", "2"),
    bool: ValueKind("true or false", "true"),
}


@dataclass(frozen=True, slots=True)
class Key:
    """One key. ``path`` has ``[]`` for the entries of a list, ``default`` is as one would write it (empty: none),
    ``kind`` says what may be written and gives an example, ``item`` the same of a list's entries."""

    path: str
    required: bool
    default: str
    description: str
    kind: ValueKind
    item: ValueKind | None = None

    @property
    def name(self) -> str:
        return self.path.rpartition(".")[2].removesuffix("[]")

    @property
    def depth(self) -> int:
        """How many stanzas it is in."""
        return self.path.count(".")


@cache
def all_keys() -> tuple[Key, ...]:
    """Every key, in the model's order, each stanza before what is in it."""
    return tuple(_keys_of(ClusterSpec, "", None))


@cache
def _by_path() -> dict[str, Key]:
    return {key.path: key for key in all_keys()}


def kind_at(path: Path) -> ValueKind:
    """What belongs at a place of the file that the model knows."""
    if path and isinstance(path[-1], int):
        return _by_path()[general(path[:-1])].item or ValueKind("text", "text")
    return _by_path()[general(path)].kind


def is_required(path: Path) -> bool:
    """Whether the stanza around ``path`` can't be without it."""
    key = _by_path().get(general(path))
    return key is not None and key.required


def accepts(path: Path, word: str) -> bool:
    """Whether ``word``, written without quotes at a place that the model knows, is right there by itself."""
    value: object = plain_scalar(word)
    if path and isinstance(path[-1], int):
        path, value = path[:-1], [value]
    if (choices := _by_path()[general(path)].kind.choices) and word not in choices:
        return False
    return _fits(general(path), value)


@cache
def _adapter(path: str) -> TypeAdapter[object]:
    field = dict(_fields_of(ClusterSpec, ""))[path]
    form: Any = field.annotation  # a type, made at run time: no type checker can know it
    for condition in field.metadata:
        form = Annotated[form, condition]
    return TypeAdapter(form)


def _fields_of(stanza: type[Stanza], prefix: str) -> Iterator[tuple[str, FieldInfo]]:
    for name, field in stanza.model_fields.items():
        path = prefix + (field.alias or name)
        yield path, field
        for suffix, part in _shape(field).parts:
            yield from _fields_of(part, f"{path}{suffix}.")


def general(path: Path) -> str:
    """A place of the file as ``Key.path``: ``("machines", 2, "name")`` → ``machines[].name``."""
    text = ""
    for part in path:
        text += "[]" if isinstance(part, int) else f".{part}" if text else part
    return text


def inside(path: Path) -> tuple[str, ...]:
    """The names of the keys that may stand in the stanza at ``path``."""
    return _names_inside(general(path))


@cache
def _names_inside(stanza: str) -> tuple[str, ...]:
    prefix = f"{stanza}." if stanza else ""
    return tuple(
        key.name
        for key in all_keys()
        if key.path.startswith(prefix) and "." not in key.path[len(prefix) :] and not key.path.endswith("[]")
    )


@lru_cache(maxsize=4096)
def intended(stanza: str, written: str) -> str | None:
    """The key of ``stanza`` (as ``Key.path``) that ``written`` was probably meant to be, or None.

    Another way to write a key is taken for it first; then a name that has its place elsewhere is no misspelling.
    """
    kebab = _kebab(written)
    known = _names_inside(stanza)
    if kebab in known:
        return kebab
    if _named(kebab):
        return None
    # A whole word says more than how many letters are alike: `macAddress` is `mac`, not `address`.
    if (begun := next((name for name in known if kebab.startswith(f"{name}-")), None)) is not None:
        return begun
    close = get_close_matches(kebab, known, n=1, cutoff=0.6)
    if close:
        return close[0]
    return next((name for name in known if len(kebab) > 2 and (name.startswith(kebab) or kebab.startswith(name))), None)


def homes(path: Path, value: object) -> tuple[str, ...]:
    """Where a key of that name (or its singular) belongs, as ``Key.path``; of several places those whose type
    ``value`` has. Empty where there is no such key, or where ``path`` itself means one that may stand there."""
    written = _kebab(str(path[-1]))
    if written in inside(path[:-1]):
        return ()
    found = _named(written)
    return tuple(place for place in found if len(found) > 1 and _fits(place, value)) or found


@lru_cache(maxsize=4096)
def _named(kebab: str) -> tuple[str, ...]:
    for name in (kebab, kebab.removesuffix("s"), f"{kebab}s"):
        if found := tuple(key.path for key in all_keys() if key.name == name):
            return found
    return ()


def _kebab(written: str) -> str:
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])|[_\s]+", "-", written[:64].strip()).lower()


def fits(path: Path, value: object) -> bool:
    """Whether ``value`` is of the type that belongs at a place that the model knows."""
    return _fits(general(path), value)


def _fits(place: str, value: object) -> bool:
    try:
        _adapter(place).validate_json(json.dumps(value), strict=True)
    except ValidationError:
        return False
    return True


def _keys_of(stanza: type[Stanza], prefix: str, default: Stanza | None) -> Iterator[Key]:
    """The keys of a stanza; ``default`` is what stands for the stanza when the file leaves it out."""
    for name, field in stanza.model_fields.items():
        path = prefix + (field.alias or name)
        shape = _shape(field)
        value = getattr(default, name) if default is not None else None if field.is_required() else field.default
        yield Key(path, field.is_required(), _written(value), field.description or "", shape.kind, shape.item)
        for suffix, part in shape.parts:
            yield from _keys_of(part, f"{path}{suffix}.", value if isinstance(value, part) else None)


@dataclass(frozen=True, slots=True)
class _Shape:
    """What a value may be: its kind, the kind of its entries where it is a list, and the stanzas it may hold, each
    with ``[]`` where it is a list of them."""

    kind: ValueKind
    item: ValueKind | None = None
    parts: tuple[tuple[str, type[Stanza]], ...] = ()


def _shape(field: FieldInfo) -> _Shape:
    stated = [item for item in field.metadata if isinstance(item, ValueKind)]
    shape = _shape_of(field.annotation)
    if stated:
        return replace(shape, kind=stated[-1])
    # A default is right by itself; a type's own example may be out of bounds, or of another key's range.
    example = _written(field.default) if not field.is_required() and not shape.item else ""
    shape = replace(shape, kind=replace(shape.kind, example=example or shape.kind.example))
    bounds = {
        name: getattr(item, name) for item in field.metadata for name in ("gt", "ge", "le") if hasattr(item, name)
    }
    if bounds:
        low = f"{bounds['ge']} to " if "ge" in bounds else f"above {bounds['gt']}, at most " if "gt" in bounds else ""
        return replace(shape, kind=ValueKind(f"{shape.kind.words} ({low}{bounds.get('le', '')})", shape.kind.example))
    return shape


def _shape_of(annotation: object) -> _Shape:
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        stated = [item for item in arguments[1:] if isinstance(item, ValueKind)]
        return _Shape(stated[-1]) if stated else _shape_of(arguments[0])
    if origin in (Union, UnionType):
        return _joined([_shape_of(argument) for argument in arguments if argument is not NoneType])
    if origin is Literal:
        return _Shape(ValueKind(" or ".join(str(argument) for argument in arguments), str(arguments[0])))
    if origin is tuple:
        entry = _shape_of(arguments[0])
        what = "machines" if entry.parts else f"{entry.kind.words.removeprefix('an ').removeprefix('a ')}es"
        item = ValueKind("a machine", "{name: worker1, role: worker}") if entry.parts else entry.kind
        return _Shape(
            ValueKind(f"a list of {what}", f"[{item.example}]"), item, tuple(("[]", part) for _, part in entry.parts)
        )
    if isinstance(annotation, type) and issubclass(annotation, Stanza):
        return _Shape(ValueKind("a stanza of keys", "`key: value` lines below it"), parts=(("", annotation),))
    if isinstance(annotation, type) and issubclass(annotation, StrEnum):
        return _Shape(ValueKind(" or ".join(annotation), next(iter(annotation))))
    return _Shape(_KINDS[annotation])


def _joined(choices: list[_Shape]) -> _Shape:
    words = " or ".join(choice.kind.words for choice in choices)
    item = next((choice.item for choice in choices if choice.item is not None), None)
    return _Shape(
        ValueKind(words, choices[0].kind.example), item, tuple(part for choice in choices for part in choice.parts)
    )


def _written(value: object) -> str:
    """A default as one would write it; nothing for none and for stanzas, whose keys have their own."""
    if value is None or isinstance(value, Stanza):
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float):
        return f"{value:g}"
    return "[]" if value == () else str(value)
