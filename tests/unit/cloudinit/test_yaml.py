"""Whatever a file holds, a reader of the seed gets the same bytes back."""

from __future__ import annotations

import base64
from io import StringIO

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ruamel.yaml import YAML

from groundplane.cloudinit.yaml import content, scalar


def read(text: str) -> object:
    return YAML(typ="safe", pure=True).load(StringIO(text))


def delivered(data: bytes) -> bytes:
    entry = read("\n".join(["- path: /x", *content(data, indent=2), "- path: /y", ""]))
    assert isinstance(entry, list)
    assert entry[1] == {"path": "/y"}
    text = entry[0]["content"]
    return base64.b64decode(text) if entry[0].get("encoding") == "b64" else str(text).encode()


@given(st.one_of(st.binary(), st.text().map(str.encode), st.text(alphabet=" \t\n#:-|ab").map(str.encode)))
def test_content_comes_back_byte_by_byte(data: bytes) -> None:
    assert delivered(data) == data


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\n",
        b"  \n",
        b"a",
        b"a\n",
        b"a\n\n",
        b"\n\na\n",
        b"  indented first\nnot\n",
        b"a\n  \n",
        b"\ta\n",
        b"a\r\n",
    ],
)
def test_content_at_the_edges(data: bytes) -> None:
    assert delivered(data) == data


def test_text_stays_readable_and_bytes_are_encoded() -> None:
    assert content(b"one\n\ttwo: 2\n", indent=4) == ["    content: |", "      one", "      \ttwo: 2"]
    assert content(b"\x00\xff", indent=4)[0] == "    encoding: b64"


@given(st.text(alphabet=st.characters(codec="ascii", exclude_categories=["Cc"])))
def test_scalar_is_always_the_same_string(text: str) -> None:
    assert read(f"key: {scalar(text)}\n") == {"key": text}


@pytest.mark.parametrize("word", ["true", "No", "on", "null", "~", "", "12", "1e3", "a: b", "a #b", "{a}", "-x"])
def test_scalar_quotes_what_yaml_would_take_for_something_else(word: str) -> None:
    assert scalar(word).startswith('"')


@pytest.mark.parametrize("word", ["cp1", "/etc/hosts", "install -d -m 0700 -o root -g root /etc/x", "set -eu"])
def test_scalar_leaves_plain_words_alone(word: str) -> None:
    assert scalar(word) == word
