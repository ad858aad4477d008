"""Reading what the components logged."""

from __future__ import annotations

import asyncio
import json

from tests.unit.drill.made import topology

from groundplane.drill.journal import LINES, LONGEST, journals, parse
from groundplane.drill.model import JournalLine
from groundplane.errors import Unreachable
from groundplane.transport.fake import FakeTransport


def entry(at: float, program: str, message: object) -> str:
    return json.dumps({"__REALTIME_TIMESTAMP": str(round(at * 1e6)), "SYSLOG_IDENTIFIER": program, "MESSAGE": message})


def test_lines_come_with_this_computers_own_time() -> None:
    text = "\n".join((entry(1000.25, "corosync", "token lost"), "{broken", "{}", entry(1001, "x", None)))
    assert parse("lb1", text, 900.0) == (
        JournalLine(100.25, "lb1", "corosync", "token lost"),
        JournalLine(101.0, "lb1", "x", ""),
    )


def test_what_is_not_text_or_too_long_is_shown_as_well_as_it_can_be() -> None:
    text = "\n".join((entry(1, "x", [104, 105, 255]), entry(2, "x", "a" * (LONGEST + 5))))
    first, second = parse("lb1", text, 0.0)
    assert first.text == "hi\ufffd"
    assert second.text == "a" * LONGEST + "…"


def test_all_machines_are_asked_and_put_in_order_and_the_silent_are_left_out() -> None:
    reach = FakeTransport()
    reach.on("lb1", "sh", answers=entry(1002, "corosync", "second"))
    reach.on("lb2", "sh", answers=entry(1001, "corosync", "first"))
    reach.on("gateway", "sh", raises=Unreachable("off", where="gateway"))
    machines = (topology().gateway, *topology().balancers)
    found = asyncio.run(journals(reach, machines, ("corosync.service",), since=100.0, offset=900.0))
    assert [line.text for line in found] == ["first", "second"]
    argv = reach.calls[0].argv
    assert f"head -n {LINES}" in argv[2]
    assert "--since=@1000.000000" in argv
    assert "--unit=corosync.service" in argv
