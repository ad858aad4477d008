"""What happens while groundplane works, as data.

Producers call an ``Emit``; ``cli/`` draws the events, the journal keeps them, tests collect them.
Nothing here prints. An event never carries a secret.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from time import monotonic


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened to ``subject`` (a machine, a bundle part, ``platform``)."""

    subject: str
    step: str
    at: float = field(default_factory=monotonic, compare=False)


@dataclass(frozen=True, slots=True)
class Started(Event):
    """``step`` began."""


@dataclass(frozen=True, slots=True)
class Planned(Event):
    """All that ``step`` of ``subject`` consists of, told before it begins: each a subject and a step of its own, which
    Finished or Failed will name. What was planned already isn't counted twice."""

    steps: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Noticed(Event):
    """Something worth knowing before ``step`` keeps anybody waiting: ``note``."""

    note: str = ""


@dataclass(frozen=True, slots=True)
class Progress(Event):
    """``step`` goes on: ``note`` says what is being done, ``done``/``total`` how far it is (total 0: unknown).

    Where nobody started ``step``, it is what ``subject`` is busy with: see ``doing``.
    """

    note: str = ""
    done: int = 0
    total: int = 0


@dataclass(frozen=True, slots=True)
class Over(Event):
    """``subject`` is no longer busy with ``step``, which nobody started; how it ended others tell."""


@dataclass(frozen=True, slots=True)
class Finished(Event):
    """``step`` ended well after ``seconds``; ``changed`` is False where it already held."""

    seconds: float = 0.0
    changed: bool = True
    note: str = ""


@dataclass(frozen=True, slots=True)
class Failed(Event):
    """``step`` ended badly."""

    seconds: float = 0.0
    error: str = ""


Emit = Callable[[Event], None]


def silent(_: Event) -> None:
    """An ``Emit`` for callers who don't listen."""


def tee(*listeners: Emit) -> Emit:
    """An ``Emit`` that hands every event to each of ``listeners``, in their order."""

    def emit(event: Event) -> None:
        for listener in listeners:
            listener(event)

    return emit


@dataclass(slots=True)
class Outcome:
    """What a block under ``reported`` tells about itself before it ends."""

    changed: bool = True
    note: str = ""


@contextmanager
def doing(emit: Emit, subject: str, step: str) -> Iterator[None]:
    """Around a block that tells by Progress what ``subject`` is busy with, and is no step with an end worth telling."""
    try:
        yield
    finally:
        emit(Over(subject, step))


@contextmanager
def reported(emit: Emit, subject: str, step: str, *, changed: bool = True) -> Iterator[Outcome]:
    """Emit Started, then Finished or Failed, around a block. ``changed`` holds unless the block tells otherwise."""
    begin = monotonic()
    emit(Started(subject, step))
    outcome = Outcome(changed)
    try:
        yield outcome
    except BaseException as error:
        emit(Failed(subject, step, seconds=monotonic() - begin, error=str(error) or type(error).__name__))
        raise
    emit(Finished(subject, step, seconds=monotonic() - begin, changed=outcome.changed, note=outcome.note))
