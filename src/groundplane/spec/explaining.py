"""The whole language of the cluster file, told from the model: nothing here can go stale."""

from __future__ import annotations

from difflib import get_close_matches
from textwrap import wrap

from groundplane.errors import SpecError
from groundplane.spec.keys import Key, all_keys

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
        lines.extend(wrap(key.description, WIDTH, initial_indent=f"{indent}    ", subsequent_indent=f"{indent}    "))
    return "\n".join(lines) + "\n"


def _remark(key: Key) -> str:
    if key.required:
        return f", required where its stanza is stated (default {key.default})" if key.default else ", required"
    return f", default {key.default}" if key.default else ""


def _bare(path: str) -> str:
    return path.replace("[]", "")
