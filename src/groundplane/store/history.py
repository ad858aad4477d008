"""Reading the journal back."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum

from groundplane.errors import StoreError
from groundplane.store.home import Home
from groundplane.store.journal import connect, damaged
from groundplane.store.who import Alive, alive


class RunOutcome(StrEnum):
    """How a run ended. A run without an end whose process is gone was interrupted."""

    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    INTERRUPTED = "interrupted"


@dataclass(frozen=True, slots=True)
class RunRecord:
    """One command that worked on a platform. ``ended`` is None while it runs, or where it was killed."""

    id: int
    platform: str
    command: str
    started: datetime
    ended: datetime | None
    outcome: RunOutcome
    error: str
    user: str
    host: str
    digest: str
    version: str


@dataclass(frozen=True, slots=True)
class JournalEntry:
    """One event of a run: ``at`` seconds after its start; ``kind`` is started, finished or failed."""

    at: float
    subject: str
    step: str
    kind: str
    seconds: float | None
    changed: bool | None
    note: str


def runs(home: Home, *, platform: str = "", limit: int = 20, is_alive: Alive = alive) -> tuple[RunRecord, ...]:
    """The newest ``limit`` runs, newest first; of one platform where it is named."""
    with _reading(home) as connection:
        if connection is None:
            return ()
        rows = connection.execute(
            f"SELECT {RUN} FROM runs WHERE ?1 = '' OR platform = ?1 ORDER BY id DESC LIMIT ?2", (platform, limit)
        )
        return tuple(_run(row, is_alive) for row in rows)


def show(home: Home, run: int, *, is_alive: Alive = alive) -> tuple[RunRecord, tuple[JournalEntry, ...]]:
    """One run and its entries in order; StoreError where there is no such run."""
    with _reading(home) as connection:
        row = connection and connection.execute(f"SELECT {RUN} FROM runs WHERE id = ?", (run,)).fetchone()
        if connection is None or not row:
            raise StoreError(f"the journal has no run {run}", hint="list them with: groundplane history")
        entries = connection.execute(
            "SELECT at, subject, step, kind, seconds, changed, note FROM entries WHERE run = ? ORDER BY id", (run,)
        )
        return _run(row, is_alive), tuple(
            JournalEntry(at, subject, step, kind, seconds, None if changed is None else bool(changed), note)
            for at, subject, step, kind, seconds, changed, note in entries
        )


RUN = "id, platform, command, started, ended, outcome, error, user, host, digest, version, process"

_Row = tuple[int, str, str, float, float | None, str | None, str, str, str, str, str, str]


@contextmanager
def _reading(home: Home) -> Iterator[sqlite3.Connection | None]:
    home.check()
    if not home.journal.exists():
        yield None
        return
    connection = connect(home.journal)
    try:
        yield connection
    except sqlite3.Error as error:
        raise damaged(home.journal, error) from error
    finally:
        connection.close()


def _run(row: _Row, is_alive: Alive) -> RunRecord:
    number, platform, command, started, ended, outcome, error, user, host, digest, version, process = row
    if outcome is None:
        outcome = RunOutcome.RUNNING if is_alive(process) else RunOutcome.INTERRUPTED
    return RunRecord(
        id=number,
        platform=platform,
        command=command,
        started=datetime.fromtimestamp(started, UTC),
        ended=None if ended is None else datetime.fromtimestamp(ended, UTC),
        outcome=RunOutcome(outcome),
        error=error,
        user=user,
        host=host,
        digest=digest,
        version=version,
    )
