"""The lease on the floating address: who may answer, for how long, and who may never again without being asked."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from groundplane.components.pacemaker.lease import Gate, Keeper, Lease, Proof

LENGTH = 0.4
PEER = frozenset({(2, 1)})


def proof(tokens: int, *, quorate: bool = True, others: frozenset[tuple[int, int]] = PEER) -> Proof:
    return Proof(quorate=quorate, tokens=tokens, others=others)


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
class World:
    """A keeper with a scripted Corosync and clock."""

    folder: Path
    now: float = 10.0
    says: Proof | None = None
    dropped: int = 0
    slow: float = 0.0

    def __post_init__(self) -> None:
        self.gate = Recorder()
        self.armed = self.folder / "armed"
        gate: Gate = self.gate  # type: ignore[assignment]
        self.leaving = self.folder / "leaving"
        self.keeper = Keeper(
            Lease(LENGTH), gate, self._ask, self.armed, self.leaving, self._drop, clock=lambda: self.now
        )

    def _ask(self) -> Proof | None:
        self.now += self.slow
        return self.says

    def _drop(self) -> None:
        self.dropped += 1

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
    assert world.dropped == 1
    assert not world.armed.exists()
    assert world.gate.closed == 1
