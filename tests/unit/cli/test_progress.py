"""Progress: lines that tell enough and don't flood, a table that fits."""

from __future__ import annotations

from io import StringIO

import pytest
from rich.console import Console

from groundplane.cli.board import Board
from groundplane.cli.output import Channel, Output
from groundplane.cli.progress import Lines, live, shown
from groundplane.cli.table import drawn
from groundplane.events import Event, Failed, Finished, Noticed, Over, Planned, Progress, Started, doing, reported


class Watched:
    """Lines on a clock of its own."""

    def __init__(self, *, verbose: bool = False) -> None:
        self.now = 0.0
        self.said: list[str] = []
        self.lines = Lines(self.said.append, verbose=verbose, clock=lambda: self.now)

    def at(self, now: float, *events: Event) -> list[str]:
        """Let time pass until ``now``, a tick each half second, then see ``events``; return what was said since."""
        self.said.clear()
        while self.now < now:
            self.now = min(self.now + 0.5, now)
            self.lines.tick()
        for event in events:
            self.lines.see(event)
        return list(self.said)


def test_short_steps_get_one_line_and_only_when_they_changed_something() -> None:
    watched = Watched()
    assert watched.at(0, Started("cp1", "boot", 0.0)) == []
    assert watched.at(1, Finished("cp1", "boot", 1.0, seconds=1)) == ["cp1: boot: done after 1.0 s"]
    assert watched.at(1, Started("cp1", "files", 1.0), Finished("cp1", "files", 1.0, changed=False)) == []


def test_longer_steps_are_announced_and_ended() -> None:
    watched = Watched()
    watched.at(0, Started("cp1", "boot", 0.0))
    assert watched.at(2.5) == ["cp1: boot …"]
    assert watched.at(3, Finished("cp1", "boot", 3.0, seconds=3, changed=False, note="it ran")) == [
        "cp1: boot: ok after 3.0 s (it ran)"
    ]


def test_progress_is_told_at_most_every_two_seconds_and_each_step_every_ten() -> None:
    watched = Watched()
    watched.at(0, *(Started(f"m{number}", "fetch", 0.0) for number in range(3)))
    watched.at(2)
    told = 0
    for tenth in range(20, 420):
        progress = [Progress(f"m{number}", "fetch", tenth / 10, done=tenth, total=420) for number in range(3)]
        told += len(watched.at(tenth / 10, *progress))
    assert 6 <= told <= 12  # 40 s, three steps, each every 10 s
    assert watched.said == [] or "%" in watched.said[0]


def test_silent_steps_are_said_to_run_still() -> None:
    watched = Watched()
    watched.at(0, Started("cp1", "init", 0.0))
    watched.at(10)
    assert watched.at(33) == ["cp1: init (for 32 s)"]


def test_failures_are_told_and_stopped_steps_only_when_they_were_announced() -> None:
    watched = Watched()
    watched.at(0, Started("cp1", "boot", 0.0), Started("cp2", "boot", 0.0))
    failed = Failed("cp1", "boot", 1.0, seconds=1, error="no kernel")
    stopped = Failed("cp2", "boot", 1.0, seconds=1, error="CancelledError")
    assert watched.at(1, failed, stopped) == ["cp1: boot: failed after 1.0 s: no kernel"]
    watched.at(1, Started("cp3", "boot", 1.0))
    watched.at(4)
    assert watched.at(4, Failed("cp3", "boot", 4.0, seconds=3, error="CancelledError")) == [
        "cp3: boot: stopped after 3.0 s"
    ]


def test_verbose_tells_all() -> None:
    watched = Watched(verbose=True)
    assert watched.at(0, Started("a", "b", 0.0), Finished("a", "b", 0.0, changed=False)) == [
        "a: b …",
        "a: b: ok after 0.0 s",
    ]


def test_a_reader_who_went_away_does_not_stop_the_work() -> None:
    calls = []

    def closed(text: str) -> None:
        calls.append(text)
        raise BrokenPipeError

    lines = Lines(closed, verbose=True)
    lines.see(Started("a", "b"))
    lines.see(Finished("a", "b"))
    assert len(calls) == 1


def test_what_a_part_was_busy_with_ends_with_the_part() -> None:
    watched = Watched()
    watched.at(0, Started("etcd", "obtain", 0.0), Progress("etcd", "build", 0.0, note="raft", done=1, total=4))
    assert watched.at(2) == ["etcd: build: raft, 25 % …"]  # and not "obtain" besides: that is the same thing
    assert watched.at(40) == ["etcd: build: raft, 25 % (for 32 s)"]
    assert watched.at(41, Finished("etcd", "obtain", 41.0, seconds=41)) == ["etcd: obtain: done after 41 s"]
    assert watched.at(300) == []


def test_what_is_done_ahead_of_a_part_ends_by_itself() -> None:
    watched = Watched()
    watched.at(0, Started("kubernetes", "obtain", 0.0))
    with doing(watched.lines.see, "etcd", "download"):
        watched.at(2, Progress("etcd", "download", 2.0, note="raft"))
        assert watched.at(4) == ["etcd: download: raft …"]
    assert watched.at(60) == ["kubernetes: obtain (for 32 s)"]
    assert watched.at(61, Over("etcd", "download", 61.0), Progress("etcd", "download", 61.0)) == []


def test_lines_say_how_far_the_whole_is() -> None:
    watched = Watched()
    steps = tuple((f"m{number}", "boot") for number in range(10))
    assert watched.at(0, Planned("platform", "jobs", steps=steps)) == []
    assert watched.at(0, Noticed("bundle", "obtain", note="it takes long")) == ["[ 0/10] bundle: it takes long"]
    assert watched.at(0, Finished("m0", "boot", 0.0)) == ["[ 1/10] m0: boot: done after 0.0 s"]
    watched.at(0, Finished("m1", "boot", 0.0, changed=False), Failed("m2", "boot", 0.0, error="CancelledError"))
    watched.at(0, Finished("m3", "machine", 0.0))  # nobody planned it
    assert watched.at(0, Failed("m4", "boot", 0.0, error="no")) == ["[ 3/10] m4: boot: failed after 0.0 s: no"]
    watched.at(0, Planned("verify", "checks", steps=(("verify", "dns"), ("m0", "boot"))))
    assert watched.at(0, Finished("verify", "dns", 0.0)) == ["[ 3/11] verify: dns: done after 0.0 s"]


def sample() -> Board:
    board = Board()
    for event in (
        Started("cp1", "boot", 0.0),
        Finished("cp1", "boot", 3.0, seconds=3),
        Started("cp1", "files", 3.0),
        Finished("cp1", "files", 4.0, changed=False),
        Started("cp2", "boot", 0.0),
        Failed("cp2", "boot", 2.0, error="no kernel\nsecond line"),
        Started("platform", "network", 0.0),
        Progress("platform", "network", 1.0, note="bridge", done=1, total=4),
        Started("platform", "image", 1.0),
        Progress("platform", "image", 1.0, note="unpacking"),
    ):
        board.see(event)
    return board


def text_of(board: Board, *, height: int = 20, unicode: bool = True) -> str:
    stream = StringIO()
    Console(file=stream, width=80, color_system=None).print(drawn(board, 5.0, height=height, unicode=unicode))
    return stream.getvalue()


def test_the_table_has_a_row_per_subject() -> None:
    platform, cp1, cp2 = text_of(sample()).splitlines()
    assert "platform" in platform
    assert "image: unpacking (+1)" in platform
    assert platform.rstrip().endswith("4.0 s")
    assert "✓ cp1" in cp1
    assert "2 steps, 1 changed" in cp1
    assert "✗ cp2" in cp2
    assert "boot: no kernel" in cp2
    assert text_of(sample(), unicode=False).isascii()


def test_the_table_says_how_far_the_whole_is_while_it_goes_on() -> None:
    board = sample()
    board.see(Planned("platform", "jobs", steps=(("cp1", "boot"), ("cp2", "boot"))))
    board.see(Finished("cp1", "boot", 5.0))
    *_, last = text_of(board).splitlines()
    assert "1 of 2 done" in last
    assert last.rstrip().endswith("5.0 s")
    assert len(text_of(board, height=3).splitlines()) == 3
    for step in ("network", "image"):
        board.see(Finished("platform", step, 6.0))
    assert "of 2 done" not in text_of(board)


def test_what_was_only_busy_ahead_has_no_row_yet() -> None:
    board = sample()
    rows = len(board.ordered)
    with doing(board.see, "etcd", "download"):
        board.see(Progress("etcd", "download", 1.0, note="raft"))
        assert len(board.ordered) == rows + 1
    board.see(Over("pause", "download"))
    assert len(board.ordered) == rows


def test_the_table_never_outgrows_the_terminal() -> None:
    board = sample()
    for number in range(50):
        board.see(Started(f"worker{number}", "boot", 0.0))
        if number != 40:
            board.see(Finished(f"worker{number}", "boot", 1.0))
    lines = text_of(board, height=5).splitlines()
    assert len(lines) == 5
    assert any("worker40" in line for line in lines)
    assert any("no kernel" in line for line in lines)
    assert "49 more" in lines[-1]


class Terminal(StringIO):
    encoding = "utf-8"

    def isatty(self) -> bool:
        return True


def test_what_is_worth_knowing_beforehand_stands_above_the_table(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    stream = Terminal()
    with live(Output(Channel(StringIO(), False, False), Channel(stream, True, True))) as emit:
        emit(Noticed("bundle", "obtain", note="it takes [long]"))
    assert "bundle: it takes [long]" in stream.getvalue()


def test_live_gives_the_terminal_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    stream = Terminal()
    out = Output(Channel(StringIO(), False, False), Channel(stream, True, True))

    def work() -> None:
        with live(out) as emit, reported(emit, "cp1", "boot"):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        work()
    assert "cp1" in stream.getvalue()
    assert stream.getvalue().rindex("\x1b[?25h") > stream.getvalue().rindex("\x1b[?25l")  # the cursor is back


@pytest.mark.parametrize(
    ("terminal", "term", "escapes"), [(True, "xterm", True), (True, "dumb", False), (False, "xterm", False)]
)
def test_live_only_where_it_can_be(monkeypatch: pytest.MonkeyPatch, terminal: bool, term: str, escapes: bool) -> None:
    monkeypatch.setenv("TERM", term)
    stream = Terminal()
    out = Output(Channel(StringIO(), False, False), Channel(stream, terminal, terminal))
    with shown(out, quiet=False, verbose=False) as emit, reported(emit, "cp1", "boot"):
        pass
    assert ("\x1b[" in stream.getvalue()) is escapes
    assert "cp1" in stream.getvalue()


def test_quiet_shows_nothing() -> None:
    stream = Terminal()
    out = Output(Channel(StringIO(), False, False), Channel(stream, True, True))
    with shown(out, quiet=True, verbose=False) as emit, reported(emit, "cp1", "boot"):
        pass
    assert stream.getvalue() == ""
