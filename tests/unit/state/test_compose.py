"""Fragments join: order never matters, doubles are fine, contradictions are not."""

from __future__ import annotations

import pytest

from groundplane.errors import StateError
from groundplane.state import File, Fragment, Package, Unit, compose

A = Fragment("a", (File("/b", b"1"), Package("curl"), Unit("x.service")))
B = Fragment("b", (File("/a", b"2"), Package("curl")))


def test_the_order_of_components_does_not_matter() -> None:
    assert compose("m", [A, B]) == compose("m", [B, A])
    assert [file.path for file in compose("m", [A, B]).files] == ["/a", "/b"]
    assert compose("m", [A, B]).packages == (Package("curl"),)


def test_a_contradiction_names_both() -> None:
    with pytest.raises(StateError, match="a and c want different things of file /b"):
        compose("m", [A, Fragment("c", (File("/b", b"other"),))])
