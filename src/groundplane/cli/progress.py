"""Showing what goes on: a live table on a terminal, plain lines elsewhere, nothing where nobody asked."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Event as Flag
from threading import Lock, Thread
from time import monotonic
from typing import TYPE_CHECKING, Final

from groundplane.cli.board import CANCELLED, Board, RunningStep
from groundplane.cli.output import Output, duration
from groundplane.events import Emit, Event, Failed, Finished, Noticed, Progress, Started, silent

if TYPE_CHECKING:
    from rich.console import Console

SHORT: Final = 2.0
"""Seconds a step may take before anything is said of it."""
BEAT: Final = 2.0
"""Seconds between two lines of progress, whoever they are about."""
STEP_BEAT: Final = 10.0
"""Seconds between two lines of progress about the same step."""
STILL: Final = 30.0
"""Seconds after which a step that says nothing of itself is said to be running still."""


@contextmanager
def shown(out: Output, *, quiet: bool, verbose: bool) -> Iterator[Emit]:
    """An Emit whose events are shown on stderr while the block runs."""
    if quiet:
        yield silent
    elif out.note.terminal and os.environ.get("TERM", "dumb") != "dumb":
        with live(out) as emit:
            yield emit
    else:
        lines = Lines(out.tell, verbose=verbose)
        with _ticking(lines.tick):
            yield lines.see


class Lines:
    """Progress as lines of text. Call ``tick`` a few times a second; both methods may be called from any thread.

    Each begins with how far the whole is, where that was planned. Steps shorter than SHORT get one line when they
    changed something; longer ones a first line, progress in between and a last line. A reader who has gone away (a
    closed pipe) doesn't stop the work.
    """

    def __init__(
        self, write: Callable[[str], None], *, verbose: bool = False, clock: Callable[[], float] = monotonic
    ) -> None:
        self._write = write
        self._verbose = verbose
        self._clock = clock
        self._board = Board()
        self._said: dict[tuple[str, str], tuple[float, str]] = {}
        self._last = float("-inf")
        self._one_at_a_time = Lock()

    def see(self, event: Event) -> None:
        with self._one_at_a_time:
            self._board.see(event)
            key = (event.subject, event.step)
            match event:
                case Noticed():
                    self._line(f"{event.subject}: {event.note}")
                case Started() if self._verbose:
                    self._announce(key)
                case Progress():
                    self._report()
                case Finished():
                    announced = self._said.pop(key, None) is not None
                    if event.changed or announced or self._verbose:
                        word = "done" if event.changed else "ok"
                        note = f" ({event.note})" if event.note else ""
                        self._line(f"{event.subject}: {event.step}: {word} after {duration(event.seconds)}{note}")
                case Failed():
                    announced = self._said.pop(key, None) is not None
                    if event.error != CANCELLED:
                        after = duration(event.seconds)
                        self._line(f"{event.subject}: {event.step}: failed after {after}: {event.error}")
                    elif announced:
                        self._line(f"{event.subject}: {event.step}: stopped after {duration(event.seconds)}")
            for subject, step in [key for key in self._said if not self._runs(*key)]:
                del self._said[subject, step]

    def tick(self) -> None:
        """Say what has become worth saying by the passing of time."""
        with self._one_at_a_time:
            now = self._clock()
            for subject, row in self._board.rows.items():
                for step in row.told:
                    if now - step.begin >= SHORT and (subject, step.step) not in self._said:
                        self._announce((subject, step.step), step)
            self._report()

    def _announce(self, key: tuple[str, str], step: RunningStep | None = None) -> None:
        subject, name = key
        text = step.text if step else name
        self._said[key] = (self._clock(), text)
        self._line(f"{subject}: {text} …")

    def _report(self) -> None:
        now = self._clock()
        if now - self._last < BEAT:
            return
        for (subject, name), (said, text) in sorted(self._said.items(), key=lambda item: item[1][0]):
            row = self._board.rows[subject]
            step = row.running.get(name)
            if step is None or step not in row.told:
                continue
            moved = step.text != text
            if now - said >= (STEP_BEAT if moved else STILL):
                self._said[subject, name] = (now, step.text)
                self._last = now
                self._line(f"{subject}: {step.text} (for {duration(now - step.begin)})")
                return

    def _runs(self, subject: str, step: str) -> bool:
        return step in self._board.rows[subject].running

    def _line(self, text: str) -> None:
        share = f"[{self._board.share}] " if self._board.share else ""
        try:
            self._write(f"{share}{text}")
        except (OSError, ValueError):  # nobody reads any more
            self._write = _nowhere


def _nowhere(_: str) -> None:
    """Where lines go once nobody reads them."""


@contextmanager
def _ticking(tick: Callable[[], None], every: float = 0.5) -> Iterator[None]:
    over = Flag()

    def work() -> None:
        while not over.wait(every):
            tick()

    thread = Thread(target=work, name="progress", daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


@contextmanager
def live(out: Output, *, clock: Callable[[], float] = monotonic) -> Iterator[Emit]:
    """A table that redraws itself: one row per subject. The terminal is as it was when the block ends, however."""
    from rich.console import Console
    from rich.live import Live

    from groundplane.cli.table import drawn

    console: Console = Console(file=out.note.stream, no_color=not out.note.colour, highlight=False, soft_wrap=False)
    board, one_at_a_time = Board(), Lock()

    def emit(event: Event) -> None:
        if isinstance(event, Noticed):
            console.print(f"{event.subject}: {event.note}", markup=False)  # above the table
        with one_at_a_time:
            board.see(event)

    def draw() -> object:
        with one_at_a_time:
            return drawn(board, clock(), height=console.size.height - 1, unicode=out.note.unicode)

    with Live(get_renderable=draw, console=console, refresh_per_second=8):  # type: ignore[arg-type]
        yield emit
