"""Defaults that change under a platform: what nobody wrote stays as the platform was built. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import TypeVar

from groundplane.spec.model import ClusterSpec, Stanza
from groundplane.spec.transitions import possible

S = TypeVar("S", bound=Stanza)


@dataclass(frozen=True, slots=True)
class NewerDefault:
    """A key that nobody wrote, then or now, and whose default has become another one; "" stands for none."""

    path: str
    kept: str
    newer: str

    def __str__(self) -> str:
        to_have_it = "write it down to have it"
        if not possible(self.path, self.kept, self.newer):
            to_have_it = "only a platform that is built anew can have it"
        return (
            f"{self.path}: stays {self.kept or '(nothing)'}, as the platform was built; the default is now"
            f" {self.newer or '(nothing)'}; {to_have_it}"
        )


def written(spec: ClusterSpec) -> tuple[str, ...]:
    """The keys that the file itself states (``network.lan``), sorted; a list of machines counts as the one key
    ``machines``."""
    return tuple(sorted(_written(spec, "")))


def settled(
    built: ClusterSpec, written_then: Collection[str], new: ClusterSpec, written_now: Collection[str]
) -> tuple[ClusterSpec, tuple[NewerDefault, ...]]:
    """``new`` with the values of ``built`` for all keys that were written neither then nor now; what that held back.

    A key that was written and no longer is gets today's default: its author took it out. What ``written`` finds in the
    result is what it finds in ``new``.
    """
    held: list[NewerDefault] = []
    return _settled(built, new, "", frozenset((*written_then, *written_now)), held), tuple(held)


def _written(stanza: Stanza, prefix: str) -> Iterator[str]:
    for name in stanza.model_fields_set:
        path, value = _path(stanza, prefix, name), getattr(stanza, name)
        if isinstance(value, Stanza):
            yield from _written(value, f"{path}.")
        else:
            yield path


def _settled(built: S, new: S, prefix: str, stated: Collection[str], held: list[NewerDefault]) -> S:
    values: dict[str, object] = {}
    for name, field in type(new).model_fields.items():
        path, was, value = _path(new, prefix, name), getattr(built, name), getattr(new, name)
        if isinstance(was, Stanza) and type(was) is type(value):
            value = _settled(was, value, f"{path}.", stated, held)
        elif was != value and not any(one == path or one.startswith(f"{path}.") for one in stated):
            held.append(NewerDefault(path, _shown(was), _shown(value)))
            value = was
        values[field.alias or name] = value
    # Not model_copy: that counts what it is given among the keys that the file states.
    return type(new).model_construct(set(new.model_fields_set), **values)


def _path(stanza: Stanza, prefix: str, name: str) -> str:
    return prefix + (type(stanza).model_fields[name].alias or name)


def _shown(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, Stanza):
        return value.model_dump_json(by_alias=True, exclude_none=True)
    return str(value)
