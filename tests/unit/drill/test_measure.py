"""From samples to figures, by cases that were counted by hand."""

from __future__ import annotations

from dataclasses import replace

import pytest
from tests.unit.drill.made import CRASH, FAULT, HEALTHY, NAMES, answers, pods, report, requests, timeline

from groundplane.drill.measure import gap, gaps, holders, judge, measure, moments, reasons, steady
from groundplane.drill.model import Answer, JournalLine, Promise, Sample, Sign, Use
from groundplane.verify.report import Report, Result


def test_the_gap_is_from_the_last_good_answer_to_the_first_one_after() -> None:
    begin, length = gap(timeline())
    assert begin == pytest.approx(99.98 + 0.005)
    assert length == pytest.approx(0.82)


def test_a_slow_answer_ends_a_gap_when_it_comes_not_when_it_was_asked() -> None:
    slow = Sample(100.1, 0.5, True)
    seen = replace(timeline(), requests=(*requests(), slow))
    begin, length = gap(seen)
    assert begin == pytest.approx(99.985)
    assert begin + length == pytest.approx(100.6)


def test_what_was_before_the_fault_is_no_gap() -> None:
    assert gap(timeline(dead=((99.2, 99.9),)))[1] == pytest.approx(0.02)
    assert gaps(timeline(dead=((99.2, 99.9),))) == ()


def test_a_gap_that_never_ends_lasts_to_the_end_of_the_observation() -> None:
    begin, length = gap(timeline(dead=((100.0, 200.0),)))
    assert begin + length == 104.0
    nothing = replace(timeline(), requests=())
    assert gap(nothing) == (FAULT, 4.0)


def test_every_gap_is_told_and_the_first_is_the_takeover() -> None:
    seen = timeline(dead=((100.0, 100.4), (101.0, 102.0)))
    assert [round(length, 2) for _, length in gaps(seen)] == [0.42, 1.02]
    figures = measure(seen, (), ())
    assert figures.takeover_seconds == pytest.approx(0.405)
    assert figures.gap_seconds == pytest.approx(1.02)


def test_the_figures_of_a_crash() -> None:
    figures = measure(timeline(), CRASH.signs, range(50))
    assert figures.failed_requests == 40
    assert figures.slow_requests == 0
    assert figures.usual_seconds == pytest.approx(0.005)
    assert figures.acknowledged_writes == 42
    assert figures.lost_writes == 0
    assert figures.double_address is False
    assert figures.detect_seconds == pytest.approx(0.3), "a line from before the fault says nothing about it"
    assert figures.moved_seconds == pytest.approx(0.8)
    assert figures.takeover_seconds == pytest.approx(0.805)
    assert figures.healed_seconds == pytest.approx(3.5)


def test_nothing_moved_where_the_same_machine_answers_again() -> None:
    same = tuple(replace(entry, macs=("aa",) if entry.macs else ()) for entry in answers())
    assert measure(replace(timeline(), answers=same), (), ()).moved_seconds is None


def test_a_write_that_was_acknowledged_and_is_gone_is_lost() -> None:
    there = set(range(50)) - {3, 12}  # 12 was never acknowledged
    figures = measure(timeline(), (), there)
    assert figures.lost_writes == 1


def test_two_answers_to_one_question_are_a_double_address() -> None:
    assert measure(timeline(double=True), (), ()).double_address is True
    assert report(timeline(double=True)).ok is False


@pytest.mark.parametrize(
    ("change", "title"),
    [
        ({"dead": ((100.0, 102.5),)}, "clients wait 2 s at most"),
        ({"double": True}, "at no moment two machines answer for the floating address"),
        ({"healed": None}, "the platform heals"),
    ],
)
def test_each_thing_that_must_hold_can_fail(change: dict[str, object], title: str) -> None:
    assert report().ok is True
    failed = [finding.title for finding in report(timeline(**change)).findings if not finding.ok]  # type: ignore[arg-type]
    assert failed == [title]


def test_lost_writes_and_failed_checks_fail_a_drill() -> None:
    broken = Report((Result("dns", "names are answered", False, "SERVFAIL", 30.0),))
    assert [finding.seen for finding in report(lost=2).findings if not finding.ok] == ["2 of 42 lost"]
    assert [finding.seen for finding in report(checks=broken).findings if not finding.ok] == ["dns"]


def test_nothing_looked_at_is_nothing_proven() -> None:
    blind = replace(timeline(), answers=(), writes=())
    failed = [finding.title for finding in judge(measure(blind, (), ()), CRASH.promise, HEALTHY) if not finding.ok]
    assert failed == [
        "at no moment two machines answer for the floating address",
        "no acknowledged write is lost",
    ]
    assert not all(finding.ok for finding in judge(measure(timeline(), (), range(50)), CRASH.promise, Report(())))


def test_pods_have_figures_of_their_own_for_each_use() -> None:
    service, dns = measure(timeline(), (), ()).from_pods
    assert (service.use, service.nodes, service.requests) == (Use.SERVICE, ("worker2", "cp3"), 50)
    assert (dns.use, dns.requests, dns.failed_requests, dns.failing_seconds) == (Use.DNS, 100, 0, None)
    assert dns.gap_seconds == pytest.approx(0.1)
    service, dns = measure(replace(timeline(), pods=pods(hanging=(99.4, 100.1, 100.2, 101.0))), (), ()).from_pods
    assert service.failed_requests == 3, "99.4, 100.2 and 101.0: the first began before the fault and ended after it"
    assert dns.failed_requests == 4
    assert service.failing_seconds == pytest.approx(1.0)
    assert service.longest_seconds == 2.0
    assert service.gap_seconds == pytest.approx(0.4), "of one pod: that the other is answered is no help"
    assert dns.gap_seconds == pytest.approx(0.3)


def test_what_fails_when_the_drill_has_mended_its_fault_is_counted_and_not_the_faults_end() -> None:
    (service, _) = measure(replace(timeline(), pods=pods(hanging=(100.2, 103.0))), (), ()).from_pods
    assert service.failed_requests == 2
    assert service.failing_seconds == pytest.approx(0.2)
    nobody = measure(replace(timeline(), pods=()), (), ())
    assert nobody.from_pods == (), "on nodes that were struck there is nothing to notice"


def test_pods_may_see_failures_for_as_long_as_the_drill_promises() -> None:
    figures = measure(replace(timeline(), pods=pods(hanging=(101.0,))), (), range(50))

    def failed(limit: float) -> list[tuple[str, str]]:
        found = judge(figures, Promise(gap=2, pods=limit), HEALTHY)
        return [(entry.title, entry.seen) for entry in found if not entry.ok]

    assert failed(1.0) == []
    assert failed(0.5) == [
        ("from pods, Service fails for 0.5 s at most", "1 of 50 requests failed, the last after 1.0 s"),
        ("from pods, DNS fails for 0.5 s at most", "1 of 100 requests failed, the last after 1.0 s"),
    ]
    silent = replace(timeline(), pods=tuple(replace(pod, samples=()) for pod in pods()))
    found = judge(measure(silent, (), range(50)), Promise(gap=2), HEALTHY)
    assert [entry.seen for entry in found if not entry.ok] == ["none of 0 requests failed"] * 2


def test_a_promise_may_forbid_failures() -> None:
    figures = measure(timeline(), (), range(50))
    failed = [entry.seen for entry in judge(figures, Promise(gap=5, may_fail=False), HEALTHY) if not entry.ok]
    assert failed == ["40 requests failed"]


def test_clients_are_served_when_all_of_the_last_second_was_answered_in_time() -> None:
    good = requests(dead=())
    assert steady(good, 104.0, seconds=1, every=0.02)
    assert not steady(good, 105.0, seconds=1, every=0.02), "requests that hang aren't there yet"
    assert not steady((*good, Sample(103.5, 0.1, False, "refused")), 104.0, seconds=1, every=0.02)
    assert not steady((*good, Sample(103.5, 0.4, True)), 104.0, seconds=1, every=0.02)
    assert steady((Sample(101.0, 0.1, False, "refused"), *good), 104.0, seconds=1, every=0.02)


def test_moments_are_in_order_of_time_and_name_machines() -> None:
    found = [(round(moment.at - FAULT, 3), moment.where, moment.title) for moment in moments(timeline(), CRASH.signs)]
    assert found == [
        (0.0, "", "the fault"),
        (0.3, "lb2", "Corosync misses a token"),
        (0.5, "lb2", "Corosync agrees on who is left"),
        (0.7, "lb2", "the address is being started"),
        (0.8, "lb2", "answers for the floating address"),
        (0.805, "", "clients are served again"),
        (2.0, "", "the drill has mended its fault"),
        (3.5, "", "the platform is whole"),
    ]


def test_a_sign_is_the_first_line_of_that_program_that_matches() -> None:
    lines = (
        JournalLine(101.0, "lb2", "corosync", "token lost"),
        JournalLine(100.5, "lb1", "corosync", "token lost"),
        JournalLine(100.1, "lb1", "pacemakerd", "token lost"),
    )
    seen = replace(timeline(), journal=lines)
    assert measure(seen, (Sign("lost", "corosync", "lost$", True),), ()).detect_seconds == pytest.approx(0.5)
    assert measure(seen, (Sign("lost", "corosync", "lost$"),), ()).detect_seconds is None


def test_holders_are_stretches_and_a_late_answer_is_no_silence() -> None:
    assert [(round(begin, 2), round(end, 2), who) for begin, end, who in holders(answers(), NAMES)] == [
        (99.0, 100.0, "lb1"),
        (100.0, 100.8, ""),
        (100.8, 103.98, "lb2"),
    ]
    late = tuple(Answer(n * 0.02, () if n in (5, 6) else ("aa",)) for n in range(20))
    assert [who for _, _, who in holders(late, NAMES)] == ["lb1"]
    moved = tuple(Answer(n * 0.02, () if n in (5, 6) else ("aa",) if n < 5 else ("bb",)) for n in range(20))
    assert [who for _, _, who in holders(moved, NAMES)] == ["lb1", "", "lb2"]
    both = (Answer(0.0, ("aa", "cc")), Answer(0.02, ("aa",)))
    assert [who for _, _, who in holders(both, NAMES)] == ["lb1 and cc", "lb1"]
    assert holders((), NAMES) == ()


def test_reasons_are_counted_the_most_frequent_first() -> None:
    samples = [Sample(0, 0, False, why) for why in ("refused", "cut off", "refused")] + [Sample(0, 0, True)]
    assert reasons(samples) == (("refused", 2), ("cut off", 1))
