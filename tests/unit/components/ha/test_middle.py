"""Who is in the middle of two balancers that have lost each other: whom it leaves out, and when that ends."""

from __future__ import annotations

import itertools

import pytest

from groundplane.components.corosync import timing
from groundplane.components.corosync.middle import (
    APART,
    CALM,
    FIRST,
    FORGOTTEN,
    KNOWN,
    LONGEST,
    PAUSE,
    SETTLED,
    TICK,
    Look,
    Middle,
    Peer,
    peer,
    ruleset,
)

ALL = frozenset({1, 3})
ROUND = 1.0
"""Seconds from one membership to the next while the fault is there."""


class Balancer:
    """The middle one of three, number 2, seen through time. ``hears`` may change; nobody is heard who is left out."""

    def __init__(self, peers: frozenset[int] = ALL, *, warm: float = KNOWN + 1) -> None:
        self.now = 100.0
        self.middle = Middle(peers)
        self.hears = peers
        self.members = peers
        self.rings = itertools.count(4, 4)
        self.ring = next(self.rings)
        self.pass_(warm)

    def pass_(self, seconds: float) -> None:
        for _ in range(round(seconds / TICK)):
            self.now += TICK
            self.middle.decide(self.now, Look((1, self.ring), self.members, self.hears - self.middle.out))

    def form(self, *members: int) -> frozenset[int]:
        """Another membership, seen at the next look. Return who is left out then."""
        self.ring, self.members = next(self.rings), frozenset(members)
        self.pass_(TICK)
        return self.middle.out

    def lose_each_other(self) -> None:
        """1 and 3 are cut off from each other, and 1 is left out."""
        self.form(3)
        self.pass_(ROUND)
        assert self.form(3) == {1}


def test_who_is_left_out_again_though_it_is_heard_is_shut_out() -> None:
    balancer = Balancer()
    assert not balancer.form(3)
    balancer.pass_(ROUND)
    assert balancer.form(3) == {1}


def test_the_one_that_the_last_membership_did_without_is() -> None:
    balancer = Balancer()
    balancer.form(3)
    balancer.pass_(ROUND)
    assert not balancer.form(1)
    balancer.pass_(ROUND)
    assert balancer.form(1) == {3}


def test_a_membership_that_is_mended_at_once_proves_nothing() -> None:
    balancer = Balancer()
    balancer.form(3)
    balancer.pass_(APART - 2 * TICK)
    assert not balancer.form(3)
    assert not balancer.form(1, 3)


def test_memberships_far_apart_have_nothing_to_do_with_each_other() -> None:
    balancer = Balancer()
    balancer.form(3)
    balancer.pass_(FORGOTTEN + 1)
    assert not balancer.form(3)


def test_one_that_is_silent_is_missed_by_nobody() -> None:
    """It crashed, hangs, was stopped, or leaves."""
    balancer = Balancer()
    balancer.hears = frozenset({3})
    balancer.pass_(0.9)  # what Corosync takes to give it up
    balancer.form(3)
    balancer.pass_(ROUND)
    assert not balancer.form(3)


def test_nor_is_one_whose_last_words_have_waited_here() -> None:
    """It crashed while this program stood still."""
    balancer = Balancer()
    balancer.form(3)
    balancer.hears = frozenset({3})
    balancer.pass_(APART + TICK)
    assert APART + 2 * TICK < PAUSE
    assert not balancer.form(3)


@pytest.mark.parametrize("silence", [PAUSE + TICK, 30.0])
def test_one_that_has_just_come_gets_time_to_join(silence: float) -> None:
    balancer = Balancer()
    balancer.hears = frozenset({3})
    balancer.pass_(silence)
    balancer.hears = ALL
    for _ in range(4):
        balancer.pass_(ROUND)
        assert not balancer.form(3)


def test_a_look_that_came_late_is_no_pause() -> None:
    """A busy computer: what was sent meanwhile has waited here."""
    balancer = Balancer()
    balancer.now += 2 * PAUSE
    balancer.form(3)
    balancer.pass_(ROUND)
    assert balancer.form(3) == {1}


def test_nor_has_anybody_been_there_for_long_when_the_program_begins() -> None:
    balancer = Balancer(warm=TICK)
    balancer.form(3)
    balancer.pass_(ROUND)
    assert not balancer.form(3)


def test_an_end_is_not_in_the_middle() -> None:
    """It forms memberships of its own, and hears the one in the middle all the time."""
    balancer = Balancer()
    balancer.hears = frozenset({1})
    for _ in range(5):
        assert not balancer.form()
        balancer.pass_(ROUND)


def test_all_in_the_middle_leave_the_same_one_out() -> None:
    balancer = Balancer(frozenset({1, 3, 4}))
    balancer.form(3, 4)
    balancer.pass_(ROUND)
    assert balancer.form(3, 4) == {1}


def test_without_a_majority_nothing_would_be_gained() -> None:
    balancer = Balancer(frozenset({1, 3, 4}))
    for _ in range(4):
        assert not balancer.form(3)
        balancer.pass_(ROUND)


def test_another_one_may_have_to_be_left_out_as_well() -> None:
    balancer = Balancer(frozenset({1, 3, 4, 5}))
    balancer.form(3, 4, 5)
    balancer.pass_(ROUND)
    balancer.form(3, 4, 5)
    balancer.pass_(ROUND)
    assert balancer.form(3, 4) == {1}
    balancer.pass_(ROUND)
    assert balancer.form(3, 4) == {1, 5}


def test_the_ring_that_was_under_way_is_not_yet_the_way_back() -> None:
    balancer = Balancer()
    balancer.lose_each_other()
    balancer.pass_(SETTLED - 2 * TICK)
    assert balancer.form(3) == {1}


def test_the_first_membership_after_that_is() -> None:
    balancer = Balancer()
    balancer.lose_each_other()
    balancer.pass_(SETTLED)
    assert not balancer.form(3)
    # The other end hears it again, but not this one yet: what was missed before is forgotten.
    balancer.pass_(ROUND)
    assert not balancer.form(3)
    assert not balancer.form(1, 3)


def test_where_the_fault_is_still_there_it_is_left_out_again() -> None:
    balancer = Balancer()
    balancer.lose_each_other()
    balancer.pass_(SETTLED)
    balancer.form(3)
    balancer.pass_(KNOWN + ROUND)
    balancer.lose_each_other()


def waited(balancer: Balancer) -> float:
    began = balancer.now
    while balancer.middle.out:
        balancer.pass_(TICK)
    return balancer.now - began


def test_it_is_tried_again_later_each_time() -> None:
    balancer = Balancer()
    waits = []
    for _ in range(8):
        balancer.lose_each_other()
        waits.append(waited(balancer))
        assert "try it again" in balancer.middle.why
        balancer.pass_(KNOWN + ROUND)
    wanted = [min(FIRST * 2**n, LONGEST) for n in range(8)]
    assert waits == pytest.approx(wanted, abs=2 * TICK)


def test_and_the_wait_is_short_again_once_all_were_together_for_a_while() -> None:
    balancer = Balancer()
    for _ in range(2):
        balancer.lose_each_other()
        waited(balancer)
        balancer.form(1, 3)
        balancer.pass_(CALM + 1)
    balancer.lose_each_other()
    assert waited(balancer) == pytest.approx(FIRST, abs=2 * TICK)


def test_who_was_left_out_comes_back_where_corosync_cannot_be_asked() -> None:
    balancer = Balancer()
    balancer.lose_each_other()
    assert balancer.middle.decide(balancer.now + TICK, None)
    assert not balancer.middle.out
    # The ring that it has when it is back was formed by nobody here.
    balancer.form(3)
    balancer.pass_(ROUND)
    assert not balancer.form(3)


def test_a_peer_is_a_number_a_name_and_an_address() -> None:
    assert peer("3,server3,10.83.0.3") == Peer(3, "server3", "10.83.0.3")


def test_what_is_shut_out_comes_back_by_the_kernels_clock() -> None:
    rules = ruleset(["10.80.0.13", "10.80.0.11"], timing.PORT)
    assert "elements = { 10.80.0.11 timeout 5s, 10.80.0.13 timeout 5s }" in rules
    assert "ip saddr @out udp dport 5405 drop" in rules
    assert ruleset([], timing.PORT) == "add table inet groundplane-middle\ndelete table inet groundplane-middle\n"
