"""What systemd says of units, and whether what was started holds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import pytest

from groundplane.agent import systemd
from groundplane.agent.error import AgentError
from groundplane.agent.machine import LocalMachine
from groundplane.agent.runner import NOT_FOUND, Ran, Running


@dataclass
class Shows:
    """``systemctl show`` answers from a list, the last one for good; a clock that only pauses move on."""

    answers: list[Ran]
    clock: float = 100.0
    asked: list[tuple[str, ...]] = field(default_factory=list)

    def start(self, argv: Sequence[str], timeout: float = 60, extra: Mapping[str, str] | None = None) -> Running:
        self.asked.append(tuple(argv))
        return _Over(self.answers.pop(0) if len(self.answers) > 1 else self.answers[0])

    def run(self, argv: Sequence[str], timeout: float = 60, extra: Mapping[str, str] | None = None) -> Ran:
        return self.start(argv).wait()

    def pause(self, seconds: float) -> None:
        self.clock += seconds

    @property
    def machine(self) -> LocalMachine:
        return LocalMachine("", self, now=lambda: 1000.0 + self.clock, monotonic=lambda: self.clock, pause=self.pause)


@dataclass(frozen=True)
class _Over:
    ran: Ran

    def wait(self) -> Ran:
        return self.ran


def block(active: str = "active", sub: str = "running", kind: str = "simple", restarts: int = 0) -> str:
    return (
        f"Type={kind}\nNRestarts={restarts}\nLoadState=loaded\nActiveState={active}\nSubState={sub}\n"
        "UnitFileState=enabled\nNeedDaemonReload=yes\nInactiveEnterTimestampMonotonic=40000000\n"
        "ActiveEnterTimestampMonotonic=0\n"
    )


def test_units_are_read_in_the_order_they_were_asked_for() -> None:
    # A timer says nothing of Type and NRestarts.
    timer = "LoadState=loaded\nActiveState=inactive\nSubState=dead\nUnitFileState=disabled\n"
    found = systemd.seen(Shows([Ran(0, f"{block()}\n{timer}")]).machine, ["a.service", "b.timer"])
    assert (found["a.service"].runs, found["a.service"].stale, found["a.service"].since) == (True, True, 1040.0)
    assert (found["b.timer"].active, found["b.timer"].enablement, found["b.timer"].since) == (
        "inactive",
        "disabled",
        None,
    )


@pytest.mark.parametrize(
    ("ran", "words"),
    [
        (Ran(1, "", "Failed to connect to bus"), "doesn't answer"),
        (Ran(NOT_FOUND), "doesn't answer"),
        (Ran(0, block()), "asked for 2 units and told of 1"),
    ],
)
def test_an_answer_that_is_none_is_a_problem(ran: Ran, words: str) -> None:
    with pytest.raises(AgentError, match=words):
        systemd.seen(Shows([ran]).machine, ["a.service", "b.service"])


@pytest.mark.parametrize(
    ("then", "runs"),
    [
        (block(), True),
        (block("failed", "failed"), False),
        (block("activating", "auto-restart", restarts=1), False),
        (block(restarts=1), False),
    ],
)
def test_a_program_that_does_not_tell_is_watched_for_a_moment(then: str, runs: bool) -> None:
    shows = Shows([Ran(0, block()), Ran(0, then)])
    assert systemd.settled(shows.machine, ["a.service"])["a.service"].runs is runs
    assert shows.clock - 100.0 <= systemd.HOLDS + 0.2


def test_one_that_tells_when_it_is_ready_needs_no_watch() -> None:
    shows = Shows([Ran(0, block(kind="notify"))])
    assert systemd.settled(shows.machine, ["a.service"])["a.service"].runs
    assert (shows.clock, len(shows.asked)) == (100.0, 1)
