"""What the probers ask, how their lines are read, and when clients count as served."""

from __future__ import annotations

import json
import socket
import struct
from collections.abc import Callable
from typing import Any

import pytest

from groundplane.drill.model import Answer, Sample, Write
from groundplane.drill.probe import Watch, program, read_answer, read_sample, read_write
from groundplane.drill.remote import ask_lan
from groundplane.drill.remote.ask_api import Task
from groundplane.errors import ConditionTimeout

WANTED = socket.inet_aton("10.80.0.10")
TASK = Task("10.80.0.10", 6443, "api.x.internal", 0.02, 2.0, "PEM")


def frame(*, target: bytes = ask_lan.ASKER, operation: int = ask_lan.REPLY, address: bytes = WANTED) -> bytes:
    mac = bytes.fromhex("525400000001")
    return struct.pack(
        ask_lan.FRAME, target, mac, ask_lan.ARP, 1, 0x0800, 6, 4, operation, mac, address, ask_lan.ASKER, bytes(4)
    )


def test_only_answers_to_our_own_questions_count() -> None:
    assert ask_lan.answerer(frame(), WANTED) == "52:54:00:00:00:01"
    assert ask_lan.answerer(frame() + bytes(18), WANTED) == "52:54:00:00:00:01", "short frames are padded"
    assert ask_lan.answerer(frame(target=b"\xff" * 6), WANTED) == "", "an announcement isn't an answer"
    assert ask_lan.answerer(frame(operation=ask_lan.REQUEST), WANTED) == ""
    assert ask_lan.answerer(frame(address=socket.inet_aton("10.80.0.11")), WANTED) == ""
    assert ask_lan.answerer(b"\x00" * 20, WANTED) == ""


def test_the_question_comes_from_nobody_and_goes_to_all() -> None:
    fields = struct.unpack(ask_lan.FRAME, ask_lan.question(WANTED))
    assert fields[0] == b"\xff" * 6
    assert fields[1] == fields[8] == ask_lan.ASKER
    assert fields[7] == ask_lan.REQUEST
    assert fields[9] == bytes(4), "with an address of ours machines would learn where we are"
    assert fields[11] == WANTED
    assert ask_lan.ASKER[0] & 3 == 2, "locally administered, for one card"


def test_reading_asks_for_health_and_writing_makes_a_numbered_object() -> None:
    assert TASK.request(7).startswith(b"GET /readyz HTTP/1.1\r\nHost: api.x.internal\r\n")
    writing = Task(**{**TASK.__dict__, "namespace": "somewhere"})
    head, _, body = writing.request(7).partition(b"\r\n\r\n")
    assert head.startswith(b"POST /api/v1/namespaces/somewhere/configmaps HTTP/1.1\r\n")
    assert f"Content-Length: {len(body)}".encode() in head
    assert json.loads(body)["metadata"]["name"] == "write-7"
    assert json.loads(body)["data"] == {"number": "7"}


def test_lines_of_the_probers() -> None:
    line = json.dumps({"number": 3, "at": 1.5, "seconds": 0.25, "ok": False, "why": "refused"})
    assert read_sample(line) == Sample(1.5, 0.25, False, "refused")
    assert read_write(line) == Write(3, Sample(1.5, 0.25, False, "refused"))
    assert read_answer('{"at": 2.0, "macs": ["a", "b"]}') == Answer(2.0, ("a", "b"))


def test_programs_run_without_the_users_settings() -> None:
    argv = program("ask_lan.py", "10.80.0.10")
    assert argv[1:3] == ("-I", "-S")
    assert argv[3].endswith("drill/remote/ask_lan.py")
    assert argv[4:] == ("10.80.0.10",)


def served(now: float) -> Watch:
    return Watch(
        requests=[Sample(now - 2 + n * 0.02, 0.005, True) for n in range(100)],
        writes=[Write(n, Sample(now - 2 + n * 0.1, 0.01, True)) for n in range(20)],
        answers=[Answer(now, ("aa",))],
        clock=lambda: now,
    )


def _spoil(what: str, watch: Watch) -> None:
    now = watch.answers[-1].at
    if what == "a request failed":
        watch.requests.append(Sample(now, 0.1, False, "refused"))
    elif what == "a write failed":
        watch.writes.append(Write(99, Sample(now, 0.1, False, "status 500")))
    elif what == "requests hang":
        del watch.requests[-30:]
    elif what == "two machines answer":
        watch.answers.append(Answer(now, ("aa", "bb")))
    elif what == "nobody answers":
        watch.answers.append(Answer(now, ()))


def test_clients_are_served_when_all_three_probers_say_so(virtual_time: Callable[..., Any]) -> None:
    now = 100.0
    virtual_time(served(now).served(since=now - 5, seconds=1, deadline=10))


@pytest.mark.parametrize(
    ("what", "words"),
    [
        ("a request failed", "requests fail: refused"),
        ("a write failed", "writes fail: status 500"),
        ("requests hang", "aren't answered in time"),
        ("two machines answer", "not exactly one machine"),
        ("nobody answers", "not exactly one machine"),
    ],
)
def test_clients_are_not_served_while(virtual_time: Callable[..., Any], what: str, words: str) -> None:
    now = 100.0
    watch = served(now)
    _spoil(what, watch)
    with pytest.raises(ConditionTimeout) as caught:
        virtual_time(watch.served(since=now - 5, seconds=1, deadline=3))
    assert words in caught.value.detail


def test_right_after_a_fault_it_is_too_early_to_say(virtual_time: Callable[..., Any]) -> None:
    now = 100.0
    with pytest.raises(ConditionTimeout) as caught:
        virtual_time(served(now).served(since=now + 60, seconds=1, deadline=3))
    assert "too early" in caught.value.detail
