"""What is going on, gathered from events: the model behind both ways of showing progress. Prints nothing."""

from __future__ import annotations

from dataclasses import dataclass, field

from groundplane.events import Event, Failed, Finished, Progress, Started

CANCELLED = "CancelledError"
"""What ``events.reported`` says of a step that was stopped because another one failed."""


@dataclass(slots=True)
class Running:
    """A step under way. ``begin`` is monotonic seconds."""

    step: str
    begin: float
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
    running: dict[str, Running] = field(default_factory=dict)
    held: int = 0
    changed: int = 0
    stopped: int = 0
    failures: list[str] = field(default_factory=list)

    @property
    def current(self) -> Running | None:
        """The step begun last."""
        return next(reversed(self.running.values()), None)

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
    """All rows: ``platform`` first, the others as they appeared."""

    rows: dict[str, Row] = field(default_factory=dict)

    def see(self, event: Event) -> None:
        row = self.rows.get(event.subject)
        if row is None:
            row = self.rows[event.subject] = Row(event.subject, event.at, event.at)
        row.last = event.at
        match event:
            case Started():
                row.running[event.step] = Running(event.step, event.at)
            case Progress():
                step = row.running.setdefault(event.step, Running(event.step, event.at))
                step.note, step.done, step.total = event.note, event.done, event.total
            case Finished():
                row.running.pop(event.step, None)
                row.changed += event.changed
                row.held += not event.changed
            case Failed():
                row.running.pop(event.step, None)
                if event.error == CANCELLED:
                    row.stopped += 1
                else:
                    row.failures.append(f"{event.step}: {event.error}")

    @property
    def ordered(self) -> list[Row]:
        return sorted(self.rows.values(), key=lambda row: row.subject != "platform")
