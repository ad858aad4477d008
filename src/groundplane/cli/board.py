"""What is going on, gathered from events: the model behind both ways of showing progress. Prints nothing."""

from __future__ import annotations

from dataclasses import dataclass, field

from groundplane.events import Event, Failed, Finished, Noticed, Over, Planned, Progress, Started

CANCELLED = "CancelledError"
"""What ``events.reported`` says of a step that was stopped because another one failed."""


@dataclass(slots=True)
class RunningStep:
    """A step under way. ``begin`` is monotonic seconds. ``loose``: nobody started it; it is what its subject is busy
    with, and ends with its subject's steps at the latest."""

    step: str
    begin: float
    loose: bool = False
    note: str = ""
    done: int = 0
    total: int = 0

    @property
    def share(self) -> str:
        """How far it is, as ``45 %``; "" where unknown."""
        return f"{100 * self.done // self.total} %" if self.total > 0 else ""

    @property
    def text(self) -> str:
        """The step with what is known of it."""
        return ", ".join(filter(None, (f"{self.step}: {self.note}" if self.note else self.step, self.share)))


@dataclass(slots=True)
class Row:
    """One subject: a machine, a part of the bundle, or the platform as a whole."""

    subject: str
    begin: float
    last: float
    running: dict[str, RunningStep] = field(default_factory=dict)
    held: int = 0
    changed: int = 0
    stopped: int = 0
    failures: list[str] = field(default_factory=list)

    @property
    def told(self) -> tuple[RunningStep, ...]:
        """The steps worth telling of: one that says nothing of itself gives way to what its subject is busy with."""
        busy = any(step.loose for step in self.running.values())
        return tuple(step for step in self.running.values() if step.loose or step.note or not busy)

    @property
    def current(self) -> RunningStep | None:
        """The step begun last, of those worth telling of."""
        return self.told[-1] if self.told else None

    @property
    def began(self) -> bool:
        """Whether there is anything to tell of it; one that was busy ahead of its first step has nothing yet."""
        return bool(self.running or self.failures or self.held or self.changed or self.stopped)

    @property
    def summary(self) -> str:
        """What was done so far, in a few words."""
        if self.failures:
            return self.failures[-1]
        steps = self.held + self.changed
        words = [f"{steps} step" if steps == 1 else f"{steps} steps"]
        if self.held:
            words.append(f"{self.changed or 'none'} changed")
        if self.stopped:
            words.append(f"{self.stopped} stopped")
        return ", ".join(words)


@dataclass(slots=True)
class Board:
    """All rows: ``platform`` first, the others as they appeared. ``planned``: which steps there will be, by subject and
    name, and whether each has ended."""

    rows: dict[str, Row] = field(default_factory=dict)
    planned: dict[tuple[str, str], bool] = field(default_factory=dict)

    @property
    def ended(self) -> int:
        """How many of the planned steps have ended."""
        return sum(self.planned.values())

    @property
    def share(self) -> str:
        """How far the whole is, as ``12/77``; "" where nobody planned anything."""
        total = len(self.planned)
        return f"{self.ended:>{len(str(total))}}/{total}" if total else ""

    def see(self, event: Event) -> None:
        if isinstance(event, Planned):
            self.planned |= dict.fromkeys(event.steps, False)
        if isinstance(event, Planned | Noticed):
            return
        row = self.rows.get(event.subject)
        if row is None and isinstance(event, Over):
            return
        if row is None:
            row = self.rows[event.subject] = Row(event.subject, event.at, event.at)
        row.last = event.at
        match event:
            case Started():
                row.running[event.step] = RunningStep(event.step, event.at)
            case Progress():
                step = row.running.setdefault(event.step, RunningStep(event.step, event.at, loose=True))
                step.note, step.done, step.total = event.note, event.done, event.total
            case Over():
                row.running.pop(event.step, None)
            case Finished():
                self._end(row, event, counts=True)
                row.changed += event.changed
                row.held += not event.changed
            case Failed() if event.error == CANCELLED:
                self._end(row, event, counts=False)
                row.stopped += 1
            case Failed():
                self._end(row, event, counts=True)
                row.failures.append(f"{event.step}: {event.error}")

    def _end(self, row: Row, event: Event, *, counts: bool) -> None:
        row.running.pop(event.step, None)
        if all(step.loose for step in row.running.values()):
            row.running.clear()
        if counts and (event.subject, event.step) in self.planned:
            self.planned[event.subject, event.step] = True

    @property
    def ordered(self) -> list[Row]:
        return sorted((row for row in self.rows.values() if row.began), key=lambda row: row.subject != "platform")
