"""Fragments join: order never matters, doubles are fine, contradictions are not."""

from __future__ import annotations

import pytest

from groundplane.errors import StateError
from groundplane.software import Program
from groundplane.state import Artifact, File, Fragment, Package, Unit, compose

A = Fragment("a", (File("/b", b"1"), Package("curl"), Unit("x.service")))
B = Fragment("b", (File("/a", b"2"), Package("curl")))


def test_the_order_of_components_does_not_matter() -> None:
    assert compose("m", [A, B]) == compose("m", [B, A])
    assert [file.path for file in compose("m", [A, B]).files] == ["/a", "/b"]
    assert compose("m", [A, B]).packages == (Package("curl"),)


def test_a_contradiction_names_both() -> None:
    with pytest.raises(StateError, match="a and c want different things of file /b"):
        compose("m", [A, Fragment("c", (File("/b", b"other"),))])


def test_what_programs_hold_is_filled_in_where_it_is_known() -> None:
    tools = Fragment("a", (Artifact("x", "/bin/x"), Artifact("y", "/bin/y")))
    programs = [Program("/bin/x", "sha256:1", 7), Program("/bin/z", "sha256:2", 8)]
    assert compose("m", [tools], programs).artifacts == (
        Artifact("x", "/bin/x", "sha256:1", 7),
        Artifact("y", "/bin/y"),
    )
