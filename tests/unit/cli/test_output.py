"""Text and documents."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from io import BytesIO, StringIO, TextIOWrapper
from ipaddress import IPv4Address
from pathlib import Path

import pytest

from groundplane.cli.output import Channel, Output, columns, duration, plain, seen_width, size
from groundplane.spec.roles import Role
from groundplane.topology.model import Secret


@dataclass(frozen=True, slots=True)
class Thing:
    name: str
    role: Role
    inner: tuple[IPv4Address, ...]


def test_documents_are_the_fields() -> None:
    thing = Thing("a", Role.CONTROL_PLANE, (IPv4Address("10.0.0.1"),))
    assert plain(thing) == {"name": "a", "role": "control-plane", "inner": ["10.0.0.1"]}
    assert plain({"at": datetime(2026, 1, 2, tzinfo=UTC), "path": Path("/x")}) == {
        "at": "2026-01-02T00:00:00+00:00",
        "path": "/x",
    }


@pytest.mark.parametrize("value", [Secret(b"x"), b"bytes", object(), {"a": [Secret(b"x")]}])
def test_secrets_and_strangers_never_get_into_a_document(value: object) -> None:
    with pytest.raises(TypeError):
        plain(value)


def test_documents_bear_their_schema() -> None:
    stream = StringIO()
    Output(Channel(stream, False, False), Channel(StringIO(), False, False)).document("thing", {"a": 1})
    assert json.loads(stream.getvalue()) == {"schema": "groundplane/thing/v1", "a": 1}


def test_columns_count_what_is_seen() -> None:
    channel = Channel(StringIO(), True, True)
    rows = [(channel.style("a", "good"), "x"), ("bbb", "y")]
    assert [seen_width(line) for line in columns(rows, channel)] == [6, 6]
    assert columns([], channel) == []


@pytest.mark.parametrize(
    ("environ", "colour", "expected"),
    [({}, True, True), ({"NO_COLOR": "1"}, True, False), ({"TERM": "dumb"}, True, False), ({}, False, False)],
)
def test_colours_are_for_terminals_that_want_them(
    monkeypatch: pytest.MonkeyPatch, environ: dict[str, str], colour: bool, expected: bool
) -> None:
    class Terminal(StringIO):
        def isatty(self) -> bool:
            return True

    monkeypatch.setattr("sys.stdout", Terminal())
    monkeypatch.setattr("sys.stderr", StringIO())
    out = Output.standard(colour=colour, environ=environ)
    assert out.result.colour is expected
    assert out.note.colour is False


def test_encodings_that_lack_a_character_get_an_escape() -> None:
    raw = BytesIO()
    channel = Channel(TextIOWrapper(raw, encoding="ascii"), False, False)
    assert channel.mark(True) == "ok"
    channel.line("a → b")
    assert raw.getvalue() == b"a \\u2192 b\n"


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.04, "0.0 s"), (9.94, "9.9 s"), (9.96, "10 s"), (59.4, "59 s"), (59.6, "1 min 0 s"), (3725, "1 h 2 min")],
)
def test_durations(seconds: float, text: str) -> None:
    assert duration(seconds) == text


def test_sizes() -> None:
    assert [size(amount) for amount in (0, 999, 512 * 2**20, 3 * 2**30)] == ["0 B", "999 B", "512 MiB", "3.0 GiB"]
