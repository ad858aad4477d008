"""The lease on the floating address: who may answer, for how long, and who may never again without being asked."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from groundplane.components.pacemaker.lease import (
    CONFIRMED,
    DENIED,
    FRESH,
    LOOK,
    TOLD,
    Card,
    Gate,
    Heir,
    Keeper,
    Lease,
    Proof,
    Simulation,
    comes_to,
)
from groundplane.components.pacemaker.status import ADDRESS_RESOURCE

LENGTH = 0.4
PEER = frozenset({(2, 1)})
ALONE: frozenset[tuple[int, int]] = frozenset()
PEERS = frozenset({"lb1"})
COMES = f"""
Current cluster status:
    * {ADDRESS_RESOURCE}\t(ocf:groundplane:floating-address):\t Started lb1

Transition Summary:
  * Start      {ADDRESS_RESOURCE}     (   lb2 )

Revised Cluster Status:
  * Full List of Resources:
    * Clone Set: haproxy-clone [haproxy]:
      * Started: [ lb2 ]
    * {ADDRESS_RESOURCE}\t(ocf:groundplane:floating-address):\t Started lb2
"""


def proof(
    tokens: int,
    *,
    quorate: bool = True,
    others: frozenset[tuple[int, int]] = PEER,
    peers: frozenset[str] = PEERS,
) -> Proof:
    return Proof(quorate=quorate, tokens=tokens, others=others, peers=peers)


def test_a_grant_counts_from_the_last_moment_a_token_is_known_to_have_come() -> None:
    lease = Lease(LENGTH)
    assert lease.renew(10.0, proof(1)) == 0.0  # nothing to compare with yet
    granted = lease.renew(10.1, proof(2))
    assert granted is not None
    assert round(granted, 6) == 0.3


def test_no_token_no_grant() -> None:
    lease = Lease(LENGTH)
    lease.renew(10.0, proof(1))
    assert lease.renew(10.1, proof(1)) == 0.0


def test_no_majority_no_grant() -> None:
    lease = Lease(LENGTH)
    lease.renew(10.0, proof(1))
    assert lease.renew(10.1, proof(2, quorate=False)) == 0.0


def test_a_silent_corosync_gets_nothing_and_must_be_asked_twice_again() -> None:
    lease = Lease(LENGTH)
    lease.renew(10.0, proof(1))
    assert lease.renew(10.1, None) == 0.0
    assert lease.renew(10.2, proof(5)) == 0.0
    assert lease.renew(10.3, proof(6))


def test_after_a_long_sleep_the_counter_of_before_proves_nothing() -> None:
    lease = Lease(LENGTH)
    lease.renew(10.0, proof(1))
    lease.renew(10.1, proof(2))
    # The token had come once more before the machine froze.
    assert lease.renew(20.0, proof(3)) == 0.0


def test_cut_off_for_long_and_back_with_the_other_it_gives_up() -> None:
    lease = Lease(LENGTH)
    lease.renew(10.0, proof(1))
    assert lease.renew(10.1, proof(2))
    assert lease.renew(20.0, proof(3)) == 0.0
    assert lease.renew(20.1, proof(4, others=frozenset({(2, 2)}))) is None


def test_the_other_one_gone_it_goes_on() -> None:
    lease = Lease(LENGTH)
    lease.renew(10.0, proof(1))
    assert lease.renew(10.1, proof(2))
    lease.renew(10.9, proof(2, quorate=False, others=frozenset()))
    assert lease.renew(11.0, proof(3, others=frozenset())) == 0.0
    assert lease.renew(11.3, proof(4, others=frozenset()))
    # It comes back: seen without a gap, so nothing was taken over meanwhile.
    assert lease.renew(11.4, proof(5, others=frozenset({(2, 2)})))


def test_a_pause_without_any_change_of_members_is_forgiven() -> None:
    lease = Lease(LENGTH)
    lease.renew(10.0, proof(1))
    assert lease.renew(10.1, proof(2))
    assert lease.renew(11.0, proof(9)) == 0.0
    assert lease.renew(11.1, proof(10)) == 0.0
    assert lease.renew(11.2, proof(11)) == 0.0
    assert lease.renew(11.3, proof(11)) == 0.0  # tokens are up to 100 ms apart
    assert lease.renew(11.4, proof(12))
    assert lease.renew(11.5, proof(13))


def test_tokens_that_waited_for_a_machine_that_hung_prove_nothing() -> None:
    """They arrive at once, while its Corosync still believes in the ring of before: the other may have the address."""
    lease = Lease(LENGTH)
    lease.renew(10.0, proof(1))
    assert lease.renew(10.1, proof(2))
    assert lease.renew(20.0, proof(2)) == 0.0
    assert lease.renew(20.06, proof(7)) == 0.0
    for tick in range(1, 8):
        assert lease.renew(20.06 + tick * 0.06, proof(7)) == 0.0
    assert lease.renew(20.6, proof(8, others=frozenset({(2, 2)}))) is None


def test_nor_do_they_when_it_hangs_again() -> None:
    lease = Lease(LENGTH)
    lease.renew(10.0, proof(1))
    assert lease.renew(10.1, proof(2))
    assert lease.renew(20.0, proof(2)) == 0.0
    assert lease.renew(20.06, proof(7)) == 0.0
    assert lease.renew(30.0, proof(7)) == 0.0
    assert lease.renew(30.06, proof(9)) == 0.0


@dataclass
class Recorder:
    """Stands in for the kernel's side."""

    opened: list[float] = field(default_factory=list)
    closed: int = 0
    kept_out: int = 0

    def open(self, seconds: float) -> None:
        self.opened.append(round(seconds, 3))

    def close(self) -> None:
        self.closed += 1

    def keep_new_out(self) -> None:
        self.kept_out += 1


@dataclass
class Wire:
    """Stands in for the card."""

    here: bool = False
    told: int = 0
    dropped: int = 0

    def take(self) -> None:
        self.here = True

    def drop(self) -> None:
        self.here = False
        self.dropped += 1

    def tell(self) -> None:
        self.told += 1


@dataclass
class Scheduler:
    """Stands in for Pacemaker's: ``says`` is its answer, None while it is at work."""

    says: str | None = COMES
    asked: list[frozenset[str]] = field(default_factory=list)

    def __call__(self, peers: Collection[str]) -> Simulation:
        self.asked.append(frozenset(peers))
        simulation: Simulation = self  # type: ignore[assignment]
        return simulation

    def said(self) -> bytes | None:
        return None if self.says is None else self.says.encode()


@dataclass
class World:
    """A keeper with a scripted Corosync, scheduler and clock."""

    folder: Path
    now: float = 10.0
    says: Proof | None = None
    slow: float = 0.0

    def __post_init__(self) -> None:
        self.gate, self.wire, self.scheduler = Recorder(), Wire(), Scheduler()
        self.armed, self.leaving, self.taken = (self.folder / name for name in ("armed", "leaving", "taken"))
        gate: Gate = self.gate  # type: ignore[assignment]
        card: Card = self.wire  # type: ignore[assignment]
        self.keeper = Keeper(
            lease=Lease(LENGTH),
            gate=gate,
            heir=Heir("lb2", ADDRESS_RESOURCE, self.scheduler, self._clock),
            card=card,
            ask=self._ask,
            armed=self.armed,
            leaving=self.leaving,
            taken=self.taken,
            clock=self._clock,
        )

    def _clock(self) -> float:
        return self.now

    def _ask(self) -> Proof | None:
        self.now += self.slow
        return self.says

    def round(self, at: float, says: Proof | None) -> None:
        self.now, self.says = at, says
        self.keeper.round()


def test_new_connections_stay_out_once_the_address_is_about_to_leave(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.leaving.touch()
    world.round(10.0, proof(1))
    assert world.gate.kept_out == 0, "it isn't even here"
    world.armed.touch()
    world.round(10.1, proof(2))
    world.round(10.2, proof(3))
    assert world.gate.kept_out == 1
    assert world.gate.opened == [0.3, 0.3], "the requests under way are let in"
    assert not world.leaving.exists()


def test_the_gate_opens_only_while_the_address_runs_here(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.round(10.0, proof(1))
    world.round(10.1, proof(2))
    assert world.gate.opened == []
    world.armed.touch()
    world.round(10.2, proof(3))
    assert world.gate.opened == [0.3], "what came before the address is proof enough"
    world.round(10.3, proof(4))
    assert world.gate.opened == [0.3, 0.3]
    world.armed.unlink()
    world.round(10.4, proof(5))
    assert world.gate.closed == 1


def test_a_machine_that_hung_before_the_address_came_needs_a_fresh_token(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.round(10.0, proof(1))
    world.armed.touch()
    world.round(20.0, proof(2))
    assert world.gate.opened == []


def test_what_was_opened_too_late_is_shut_at_once(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.armed.touch()
    world.round(10.0, proof(1))
    world.slow = 0.39
    world.round(10.001, proof(2))
    assert world.gate.opened == [0.009]
    assert world.gate.closed == 1


def test_giving_up_takes_the_address_and_the_permission_away(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.armed.touch()
    world.round(10.0, proof(1))
    world.round(10.1, proof(2))
    world.round(20.0, proof(3))
    world.round(20.1, proof(4, others=frozenset({(2, 2)})))
    assert world.wire.dropped == 1
    assert not world.armed.exists()
    assert world.gate.closed == 1


# ---- left alone ----------------------------------------------------------------------------------------------------


def left_alone(world: World) -> None:
    """The other balancer, which has the address, falls silent; the third vote goes to this one."""
    world.round(10.0, proof(1))
    world.round(10.1, proof(2))
    world.round(10.5, proof(2))
    world.round(10.53, proof(3, quorate=False, others=ALONE))  # the vote isn't given yet
    assert not world.wire.here
    world.round(10.56, proof(4, others=ALONE))


def test_left_alone_with_the_majority_it_takes_the_address_and_tells(tmp_path: Path) -> None:
    world = World(tmp_path)
    left_alone(world)
    assert world.scheduler.asked == [PEERS]
    assert world.wire.here
    assert world.taken.exists()
    assert world.gate.opened == [0.37], "from the last moment that is proven"
    assert world.wire.told == 1
    world.round(10.56 + TOLD + 0.1, proof(9, others=ALONE))
    assert world.wire.told == 1, "neighbours know by now"


def test_pacemaker_starts_what_was_taken_and_nothing_changes_for_clients(tmp_path: Path) -> None:
    world = World(tmp_path)
    left_alone(world)
    world.armed.touch()
    world.round(10.6, proof(5, others=ALONE))
    world.round(10.6 + CONFIRMED + 1, proof(6, others=ALONE))
    assert world.wire.here
    assert world.gate.closed == 0
    assert not world.taken.exists()


def test_what_pacemaker_does_not_start_is_given_back(tmp_path: Path) -> None:
    world = World(tmp_path)
    left_alone(world)
    tokens = 5
    while world.now < 10.4 + CONFIRMED:
        world.round(world.now + 0.1, proof(tokens, others=ALONE))
        tokens += 1
    assert world.wire.dropped == 0
    world.round(10.7 + CONFIRMED, proof(tokens, others=ALONE))
    assert not world.wire.here
    assert not world.taken.exists()
    assert world.gate.closed == 1


def test_it_is_given_back_as_soon_as_another_balancer_joins(tmp_path: Path) -> None:
    """The two of them decide anew, and the other one may be the first to be told to start it."""
    world = World(tmp_path)
    left_alone(world)
    world.round(10.6, proof(5, others=frozenset({(1, 2)})))
    assert not world.wire.here
    assert world.gate.closed == 1


def test_it_is_shut_out_where_the_majority_is_lost_again(tmp_path: Path) -> None:
    world = World(tmp_path)
    left_alone(world)
    world.round(10.6, proof(5, quorate=False, others=ALONE))
    world.round(10.7, None)
    assert len(world.gate.opened) == 1, "what was granted runs out"


def test_pacemaker_stopping_it_ends_it(tmp_path: Path) -> None:
    world = World(tmp_path)
    left_alone(world)
    world.taken.unlink()  # the agent does, and takes the address away
    world.round(10.6, proof(5, others=ALONE))
    assert world.gate.closed == 1
    assert world.wire.dropped == 0


@pytest.mark.parametrize(
    "says",
    [
        None,
        "",
        COMES.replace("Started lb2\n", "Stopped\n"),
        COMES.replace("Started lb2\n", "Started lb2 (unmanaged)\n"),
        COMES.replace("Started lb2\n", "Started lb1\n"),
        COMES.partition("Revised")[0],
    ],
)
def test_it_takes_nothing_that_pacemaker_would_not_have_here(tmp_path: Path, says: str | None) -> None:
    world = World(tmp_path)
    world.scheduler.says = says
    left_alone(world)
    assert not world.wire.here
    assert world.gate.opened == []


def test_it_takes_nothing_without_having_been_left(tmp_path: Path) -> None:
    """A balancer that starts alone waits for Pacemaker, which knows whether the address is wanted."""
    world = World(tmp_path)
    world.round(10.0, proof(1, others=ALONE))
    world.round(10.1, proof(2, others=ALONE))
    world.round(10.2, proof(3, others=ALONE))
    assert not world.wire.here


def test_of_three_balancers_none_takes_it(tmp_path: Path) -> None:
    """The two that are left are equal: Pacemaker's leader decides which it is."""
    world, three = World(tmp_path), frozenset({"lb1", "lb3"})
    world.round(10.0, proof(1, others=frozenset({(1, 1), (3, 1)}), peers=three))
    world.round(10.1, proof(2, others=frozenset({(1, 1), (3, 1)}), peers=three))
    world.round(10.6, proof(3, others=frozenset({(3, 1)}), peers=three))
    world.round(10.7, proof(4, others=ALONE, peers=three))
    assert not world.wire.here
    assert world.scheduler.asked == []


def test_the_scheduler_is_asked_now_and_then_and_its_answer_grows_old() -> None:
    now, scheduler = 10.0, Scheduler()
    heir = Heir("lb2", ADDRESS_RESOURCE, scheduler, lambda: now)
    heir.look(PEERS)
    assert not heir.inherits(), "it is at work"
    now += 0.1
    heir.look(PEERS)
    assert heir.inherits()
    assert len(scheduler.asked) == 1
    now += LOOK
    scheduler.says = None
    heir.look(PEERS)
    assert len(scheduler.asked) == 2
    assert heir.inherits(), "while it thinks, what it said before holds"
    now = 10.0 + FRESH
    heir.look(PEERS)
    assert not heir.inherits()


@pytest.mark.parametrize("says", ["", COMES.replace("Started lb2\n", "Stopped\n")])
def test_a_scheduler_that_says_no_is_asked_again_soon(says: str) -> None:
    """The keeper begins before Pacemaker does, and that before it has joined the other one's."""
    now, scheduler = 10.0, Scheduler(says)
    heir = Heir("lb2", ADDRESS_RESOURCE, scheduler, lambda: now)
    heir.look(PEERS)
    heir.look(PEERS)
    assert len(scheduler.asked) == 1
    now += DENIED
    heir.look(PEERS)
    scheduler.says = COMES
    heir.look(PEERS)
    assert len(scheduler.asked) == 2
    assert heir.inherits()


def test_what_was_said_before_the_address_was_here_is_forgotten(tmp_path: Path) -> None:
    """It may have left because it was sent away."""
    world = World(tmp_path)
    world.round(10.0, proof(1))
    world.round(10.1, proof(2))
    world.armed.touch()
    world.round(10.2, proof(3))
    world.armed.unlink()
    world.scheduler.says = None
    world.round(10.3, proof(4))
    world.round(10.4, proof(5, others=ALONE))
    assert not world.wire.here


def test_a_group_shows_its_members_further_in() -> None:
    member = f"      * {ADDRESS_RESOURCE}\t(ocf::groundplane:floating-address):\t Started lb2\n"
    group = f"Revised Cluster Status:\n    * Resource Group: api:\n{member}"
    assert comes_to(group.encode(), "lb2", ADDRESS_RESOURCE)
    assert not comes_to(group.encode(), "lb22", ADDRESS_RESOURCE)
    assert not comes_to(group.encode(), "lb2", "address")
