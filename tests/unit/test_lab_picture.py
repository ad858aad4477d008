"""The picture the lab tests take of the host shows what came, what went and what changed."""

from __future__ import annotations

from dataclasses import fields, replace

from tests.lab.host import Picture

BEFORE = Picture(**{field.name: frozenset({f"some {field.name}"}) for field in fields(Picture)})


def test_nothing_changed() -> None:
    assert BEFORE.changed_since(BEFORE) == {}


def test_what_came_and_what_went_is_told_for_every_kind() -> None:
    for field in fields(Picture):
        after = replace(BEFORE, **{field.name: frozenset({"another"})})
        gone = [] if field.name == "processes" else [f"- some {field.name}"]
        assert after.changed_since(BEFORE) == {field.name: ["+ another", *gone]}


def test_others_processes_may_end() -> None:
    assert replace(BEFORE, processes=frozenset()).changed_since(BEFORE) == {}
