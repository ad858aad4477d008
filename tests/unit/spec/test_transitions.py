"""The table of what may change: complete, and the same in the documentation."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from pathlib import Path

from groundplane.spec import explain
from groundplane.spec.explaining import Later, later
from groundplane.spec.transitions import CARRIED_OUT, MEANING, TABLE, Transition, When

OPERATING = Path(__file__).parents[3] / "docs" / "operating.md"


def test_every_key_that_holds_a_value_has_a_row() -> None:
    paths = [key.path for key in explain()]
    holding = [path for path in paths if not any(other.startswith((f"{path}.", f"{path}[].")) for other in paths)]
    assert set(holding) == set(TABLE)


def test_what_happens_to_a_key_is_said_in_full() -> None:
    for path, row in TABLE.items():
        machines = path.startswith("machines.") or path == "machines[].name"
        assert set(row) == ({When.ADDED, When.REMOVED} if machines else set(When)), path
        for way in row.values():
            assert way.effect, path
            assert bool(way.instead) == (way.transition is Transition.NEVER), path
    assert set(MEANING) == set(Transition)
    assert Transition.NEVER not in CARRIED_OUT


def test_the_documentation_has_the_table() -> None:
    text = OPERATING.read_text(encoding="utf-8")
    for expected in ("\n".join(_meanings()), _carried_out(), "\n".join(_keys())):
        assert f"\n\n{expected}\n\n" in text, f"{OPERATING.name} is to say:\n{expected}"


def _carried_out() -> str:
    kinds = ", ".join(f"*{transition}*" for transition in Transition if transition in CARRIED_OUT)
    return (
        f"This version carries out: {kinds}."
        " A file with any other change is refused with all reasons, and nothing is touched."
    )


def _meanings() -> Iterable[str]:
    yield "| a change is | which means |"
    yield "| --- | --- |"
    for transition, meaning in MEANING.items():
        yield f"| {transition} | {meaning} |"


def _keys() -> Iterable[str]:
    """What is said of several keys in the same words is said once."""
    told: dict[Later, list[str]] = {}
    for key in explain():
        for one in later(key):
            told.setdefault(one, []).append(key.path)
    yield "| key | | |"
    yield "| --- | --- | --- |"
    for one, paths in told.items():
        when, _, words = str(one).partition(f"{one.way.transition}: ")
        when = when.replace(" later", "").removeprefix("changed: ")
        named = ", ".join(f"`{path}`" for path in _joined(paths))
        yield f"| {named} | {when}{one.way.transition} | {words} |"


def _joined(paths: Collection[str]) -> Iterable[str]:
    """A stanza's name where all of it is among ``paths``."""
    done: set[str] = set()
    for path in paths:
        if path in done:
            continue
        parts = path.split(".")
        for depth in range(1, len(parts) + 1):
            stanza = ".".join(parts[:depth])
            inside = {other for other in TABLE if other == stanza or other.startswith(f"{stanza}.")}
            if inside <= set(paths):
                done |= inside
                yield stanza
                break
