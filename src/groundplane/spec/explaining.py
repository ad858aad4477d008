"""The whole language of the cluster file, told from the model: nothing here can go stale."""

from __future__ import annotations

from dataclasses import dataclass
from difflib import get_close_matches
from textwrap import wrap

from groundplane.errors import SpecError
from groundplane.spec.keys import Key, all_keys
from groundplane.spec.transitions import TABLE, Transition, Way, When

WIDTH = 100


def explain(path: str = "") -> tuple[Key, ...]:
    """The keys at and below a dotted path (``network.lan``, ``machines[].name``); all of them for the empty one.

    A list's ``[]`` may be left out. Raises ``SpecError`` when there is no such key.
    """
    wanted = _bare(path.strip().strip("."))
    found = tuple(
        key for key in all_keys() if not wanted or _bare(key.path) == wanted or _bare(key.path).startswith(f"{wanted}.")
    )
    if not found:
        close = get_close_matches(wanted, [_bare(key.path) for key in all_keys()], n=1)
        hint = f"did you mean '{close[0]}'?" if close else "`groundplane explain` lists all keys"
        raise SpecError(f"the cluster file has no key '{path}'", hint=hint)
    return found


def explain_text(path: str = "") -> str:
    """The same as a tree to read: each key with what may be written, its default, and what it is for."""
    keys = explain(path)
    top = min(key.depth for key in keys)
    lines = []
    for key in keys:
        indent = "  " * (key.depth - top)
        name = key.path if key.depth == top and top else key.path.rpartition(".")[2]
        listed = "- " if "[]." in key.path else ""
        lines.append(f"{indent}{listed}{name}: {key.kind.words}{_remark(key)}")
        for words in (key.description, *map(str, later(key))):
            lines.extend(wrap(words, WIDTH, initial_indent=f"{indent}    ", subsequent_indent=f"{indent}    "))
    return "\n".join(lines) + "\n"


@dataclass(frozen=True, slots=True)
class Later:
    """What happens to a key of a platform that stands, and what that means there."""

    whens: tuple[When, ...]
    way: Way

    def __str__(self) -> str:
        every = len(self.whens) == len(When)
        # Machines that come and go are words enough.
        by_itself = self.way.transition in (Transition.MACHINES_ADDED, Transition.MACHINES_REMOVED)
        begin = "" if by_itself else f"{When.CHANGED if every else ' or '.join(self.whens)} later: "
        instead = f"; {self.way.instead.replace('{old}', 'VALUE')}" if self.way.instead else ""
        return f"{begin}{self.way.transition}: {self.way.effect}{instead}"


def later(key: Key) -> tuple[Later, ...]:
    """What changing ``key`` means while the platform stands; nothing for a stanza, whose keys say it."""
    whens: dict[Way, list[When]] = {}
    for when, way in TABLE.get(key.path, {}).items():
        whens.setdefault(way, []).append(when)
    return tuple(Later(tuple(of), way) for way, of in whens.items())


def _remark(key: Key) -> str:
    if key.required:
        return f", required where its stanza is stated (default {key.default})" if key.default else ", required"
    return f", default {key.default}" if key.default else ""


def _bare(path: str) -> str:
    return path.replace("[]", "")
