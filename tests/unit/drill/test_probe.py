"""What the probers ask, how their lines are read, and when clients count as served."""

from __future__ import annotations

import asyncio
import json
import socket
import struct
from collections.abc import Callable
from dataclasses import replace
from time import monotonic
from typing import Any

import pytest
from tests.unit.drill.made import topology

from groundplane.drill.model import Answer, FromPod, Sample, Use, Write
from groundplane.drill.pods import Pod
from groundplane.drill.probe import PodProber, Watch, _uses, program, read_answer, read_sample, read_write
from groundplane.drill.remote import ask_lan
from groundplane.drill.remote.ask_server import Task, verdict
from groundplane.errors import ConditionTimeout, Unreachable
from groundplane.transport.fake import FakeTransport

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
    assert TASK.request(7).startswith(b"GET /readyz?exclude=shutdown HTTP/1.1\r\nHost: api.x.internal\r\n")
    writing = Task(**{**TASK.__dict__, "namespace": "somewhere"})
    head, _, body = writing.request(7).partition(b"\r\n\r\n")
    assert head.startswith(b"POST /api/v1/namespaces/somewhere/configmaps HTTP/1.1\r\n")
    assert f"Content-Length: {len(body)}".encode() in head
    assert json.loads(body)["metadata"]["name"] == "write-7"
    assert json.loads(body)["data"] == {"number": "7"}


def test_a_name_is_asked_for_and_only_an_answer_to_that_question_counts() -> None:
    asking = Task("10.96.0.10", 53, "kubernetes.default.svc.cluster.local", 0.1, 2.0)
    asked = asking.question(0x10007)
    assert asked[:12] == bytes.fromhex("0007 0100 0001 0000 0000 0000")
    assert asked[12:] == b"\x0akubernetes\x07default\x03svc\x07cluster\x05local\0" + bytes.fromhex("0001 0001")

    def said(number: int, *, code: int = 0, answers: int = 1) -> bytes:
        return struct.pack(">HHHHHH", number, 0x8180 | code, 1, answers, 0, 0)

    assert verdict(said(7), 0x10007) == ""
    assert verdict(said(7, code=2), 7) == "DNS error 2"
    assert verdict(said(7, answers=0), 7) == "an answer with no address"
    assert verdict(said(8), 7) == verdict(b"\0\7", 7) == "something that is no answer came"


def test_a_pod_asks_the_apis_service_and_the_names_of_the_cluster() -> None:
    uses = _uses(topology())
    assert {use: (task.address, task.port, bool(task.authority)) for use, task in uses.items()} == {
        Use.SERVICE: ("10.96.0.1", 443, True),
        Use.DNS: ("10.96.0.10", 53, False),
    }
    assert all(task.lasting and not task.key for task in uses.values())


def seen_from_pod(transport: FakeTransport) -> PodProber:
    async def main() -> PodProber:
        prober = PodProber(transport, Pod("12-34", "worker2"), Use.DNS, TASK)
        await prober.start()
        assert prober._reading is not None
        await prober._reading
        await prober.stop()
        return prober

    return asyncio.run(main())


def test_what_a_pod_saw_is_told_by_this_computers_clock() -> None:
    transport, began = FakeTransport(), monotonic()
    lines = [{"clock": 7.0}, {"number": 1, "at": 7.5, "seconds": 0.25, "ok": False, "why": "DNS error 2"}]
    transport.on("worker2", "sh", "-c", answers="\n".join(map(json.dumps, lines)))
    prober = seen_from_pod(transport)
    (sample,) = prober.seen
    assert began + 0.5 <= sample.at <= monotonic() + 0.5
    assert (sample.seconds, sample.ok, sample.why) == (0.25, False, "DNS error 2")
    (call,) = transport.calls
    assert call.argv[4] == "12[-_]34", "systemd writes it in another way"
    assert json.loads(call.stdin)["address"] == TASK.address
    assert prober.failure is None


def test_a_pod_whose_node_went_away_saw_what_it_saw() -> None:
    transport = FakeTransport()
    transport.on("worker2", "sh", "-c", raises=Unreachable("gone", where="worker2"))
    prober = seen_from_pod(transport)
    assert str(prober.failure) == "worker2: gone"
    assert Watch(probers=(prober,)).pods == (FromPod(Use.DNS, "worker2", ()),)
    assert Watch(probers=(prober,), struck={"worker2"}).pods == ()


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


@pytest.mark.parametrize(
    ("at", "sample", "words"),
    [
        (
            97.0,
            Sample(97.0, 2.0, False, "no answer within 2 s"),
            "from a pod on worker2, Service isn't always answered",
        ),
        (99.9, Sample(99.9, 0.3, True), "from a pod on worker2, Service isn't always answered in time"),
        (95.9, Sample(95.9, 2.0, False, "no answer within 2 s"), ""),
    ],
)
def test_clients_are_not_served_while_a_pod_is_not(
    virtual_time: Callable[..., Any], at: float, sample: Sample, words: str
) -> None:
    now = 100.0
    transport = FakeTransport()
    prober = PodProber(transport, Pod("1", "worker2"), Use.SERVICE, TASK)
    prober.seen += [sample, *(Sample(now - 5 + n * 0.2, 0.01, True) for n in range(25))]
    watch = replace(served(now), probers=(prober,))
    if not words:
        virtual_time(watch.served(since=now - 5, seconds=1, deadline=3))
        return
    with pytest.raises(ConditionTimeout) as caught:
        virtual_time(watch.served(since=now - 5, seconds=1, deadline=3))
    assert words in caught.value.detail
    virtual_time(replace(watch, struck={"worker2"}).served(since=now - 5, seconds=1, deadline=3))
    with pytest.raises(ConditionTimeout, match="clients are served") as caught:
        virtual_time(watch.served(since=now - 2, seconds=1, deadline=3))
    assert "too early" in caught.value.detail, "a request that hangs is known to after two seconds"


def test_right_after_a_fault_it_is_too_early_to_say(virtual_time: Callable[..., Any]) -> None:
    now = 100.0
    with pytest.raises(ConditionTimeout) as caught:
        virtual_time(served(now).served(since=now + 60, seconds=1, deadline=3))
    assert "too early" in caught.value.detail
