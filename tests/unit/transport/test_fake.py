from __future__ import annotations

import asyncio

import pytest

from groundplane.errors import CommandFailed, Unreachable
from groundplane.state.step import Completed
from groundplane.transport.base import Transport
from groundplane.transport.fake import FakeTransport


def run(fake: FakeTransport, machine: str, *argv: str, stdin: bytes = b"", check: bool = True) -> Completed:
    return asyncio.run(fake.run(machine, argv, stdin=stdin, check=check))


def test_it_is_a_transport() -> None:
    transport: Transport = FakeTransport()
    assert transport is not None


def test_the_longest_beginning_wins_then_the_named_machine_then_the_later_rule() -> None:
    fake = FakeTransport()
    fake.on("*", "systemctl", answers="any")
    fake.on("*", "systemctl", "is-active", answers="active")
    fake.on("cp1", "systemctl", answers="cp1")
    fake.on("cp2", "cat", answers="old")
    fake.on("cp2", "cat", answers="new")
    assert run(fake, "cp1", "systemctl", "is-active", "x").text == "active"
    assert run(fake, "cp1", "systemctl", "start").text == "cp1"
    assert run(fake, "lb1", "systemctl").text == "any"
    assert run(fake, "cp2", "cat").text == "new"


def test_failures_are_like_the_real_ones() -> None:
    fake = FakeTransport()
    fake.on("cp1", "false", status=3, stderr="no")
    fake.on("cp2", raises=Unreachable("off", where="cp2"))
    with pytest.raises(CommandFailed) as caught:
        run(fake, "cp1", "false")
    assert (caught.value.status, caught.value.detail) == (3, "no")
    assert run(fake, "cp1", "false", check=False).status == 3
    with pytest.raises(Unreachable):
        run(fake, "cp2", "anything")


def test_a_command_nobody_scripted_fails_the_test() -> None:
    with pytest.raises(AssertionError, match="nobody scripted this on cp1: rm"):
        run(FakeTransport(), "cp1", "rm")


def test_answers_may_depend_on_the_call_and_on_the_turn() -> None:
    fake = FakeTransport()
    fake.on("cp1", "cat", then=lambda call: Completed(0, call.stdin, b""))
    fake.in_turn("cp1", "id", answers=[Unreachable("booting"), Completed(0, b"root", b"")])
    assert run(fake, "cp1", "cat", stdin=b"in").stdout == b"in"
    with pytest.raises(Unreachable):
        run(fake, "cp1", "id")
    assert run(fake, "cp1", "id").text == run(fake, "cp1", "id").text == "root"


def test_calls_are_kept_and_hide_what_was_sent() -> None:
    fake = FakeTransport()
    fake.on("*")
    run(fake, "cp1", "tee", "/run/token", stdin=b"hunter2")
    run(fake, "cp2", "true")
    assert fake.commands("cp1") == [("tee", "/run/token")]
    assert len(fake.commands()) == 2
    assert fake.calls[0].stdin == b"hunter2"
    assert "hunter2" not in repr(fake.calls)


def test_sitting_at_a_machine_is_a_call_too() -> None:
    fake = FakeTransport()
    fake.on("cp1", "bash", status=4)
    assert fake.interactive("cp1", ["bash"]) == 4
