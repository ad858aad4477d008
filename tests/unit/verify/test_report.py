"""Checks become results: what was seen, within a deadline."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest

from groundplane.errors import ConditionTimeout, StepError, Unreachable
from groundplane.events import silent
from groundplane.state import Completed, Reach
from groundplane.verify import Check, NotYet, run_checks, wait_until


class Nobody:
    async def run(
        self, machine: str, argv: Sequence[str], *, stdin: bytes = b"", timeout: float = 60, check: bool = True
    ) -> Completed:
        raise Unreachable("is off", where=machine)


def test_results_keep_the_order_and_what_was_seen() -> None:
    async def fine(reach: Reach) -> str:
        return "all 3"

    async def bad(reach: Reach) -> str:
        raise NotYet("2 of 3")

    async def off(reach: Reach) -> str:
        await reach.run("cp1", ["true"])
        return ""

    async def broken(reach: Reach) -> str:
        raise StepError("no")

    async def odd(reach: Reach) -> str:
        answer: dict[str, str] = {}
        return answer["podIP"]

    checks = [
        Check("a", "A", 1, "mend a", fine),
        Check("b", "B", 0.01, "mend b", bad),
        Check("c", "C", 0.01, "mend c", off),
        Check("d", "D", 0.01, "mend d", broken),
        Check("e", "E", 1, "mend e", odd),
    ]
    report = asyncio.run(run_checks(checks, Nobody(), silent))
    assert not report.ok
    assert [(result.name, result.ok) for result in report.results] == [
        ("a", True), ("b", False), ("c", False), ("d", False), ("e", False)
    ]  # fmt: skip
    assert report.results[0].seen == "all 3"
    assert report.results[1].seen == "last seen: 2 of 3"
    assert report.results[1].remedy == "mend b"
    assert "cp1: is off" in report.results[2].seen


def test_a_condition_is_tried_again_until_it_holds() -> None:
    tries: list[int] = []

    async def third() -> None:
        tries.append(1)
        if len(tries) < 3:
            raise NotYet("not yet")

    asyncio.run(wait_until("it", third, deadline=5, every=0))
    assert len(tries) == 3


def test_a_condition_that_never_holds_tells_what_was_seen() -> None:
    async def never() -> None:
        raise NotYet("still 0")

    with pytest.raises(ConditionTimeout) as caught:
        asyncio.run(wait_until("it", never, deadline=0.01, every=0))
    assert caught.value.detail == "last seen: still 0"


def test_what_needs_a_check_that_fails_is_not_asked() -> None:
    async def fine(reach: Reach) -> str:
        return "yes"

    async def bad(reach: Reach) -> str:
        raise NotYet("no", remedy="make room")

    checks = [
        Check("dns", "DNS", 0.01, "look at CoreDNS", bad, needs=("pods",)),
        Check("pods", "Pods", 0.01, "look at pods", bad, needs=("nodes", "api")),
        Check("nodes", "Nodes", 0.01, "look at nodes", bad, needs=("api",)),
        Check("proxy", "Proxy", 1, "look at the proxy", fine, needs=("pods",)),
        Check("disks", "Disks", 0.01, "look at disks", bad, needs=("not in this run",)),
    ]
    report = asyncio.run(run_checks(checks, Nobody(), silent))
    dns, pods, nodes, proxy, disks = report.results
    assert (dns.ok, dns.asked, dns.seen, dns.remedy) == (False, False, "not asked: nodes does not hold", "")
    assert not pods.asked
    assert (nodes.asked, nodes.remedy) == (True, "make room")
    assert (proxy.ok, proxy.asked) == (True, True)
    assert report.broken == (nodes, disks)
    assert not report.ok
    assert report.fault == "nodes failed, disks failed"
