"""What was done, to which platform, by whom, and how it ended: one SQLite file that survives ``down`` and kill -9.

SQLite in WAL mode keeps every committed row when the process dies at any point. A run's first and last words are
also made to survive a power cut (synchronous FULL, https://www.sqlite.org/pragma.html#pragma_synchronous); what lies
between may then lose its last second, which is not worth a disk's flush per event. Events never carry a secret.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Lock
from time import monotonic, time

from groundplane import __version__
from groundplane.errors import GroundplaneError, Interrupted, StoreError
from groundplane.events import Event, Failed, Finished, Started
from groundplane.store.files import create_private
from groundplane.store.home import Home
from groundplane.store.who import Who

SCHEMA = 1

TABLES = (
    """CREATE TABLE runs (
  id       INTEGER PRIMARY KEY AUTOINCREMENT,
  platform TEXT NOT NULL,
  command  TEXT NOT NULL,
  started  REAL NOT NULL,              -- seconds since 1970, UTC
  ended    REAL,
  outcome  TEXT,                       -- done, failed, interrupted; NULL while it runs, or when it was killed
  error    TEXT NOT NULL DEFAULT '',
  user     TEXT NOT NULL,
  host     TEXT NOT NULL,
  process  TEXT NOT NULL,              -- see who.identity
  digest   TEXT NOT NULL,              -- sha256 of the cluster file, hex
  version  TEXT NOT NULL               -- groundplane's own
)""",
    """CREATE TABLE entries (
  id      INTEGER PRIMARY KEY,
  run     INTEGER NOT NULL REFERENCES runs (id),
  at      REAL NOT NULL,               -- seconds since the run's start
  subject TEXT NOT NULL,
  step    TEXT NOT NULL,
  kind    TEXT NOT NULL,               -- started, finished, failed
  seconds REAL,
  changed INTEGER,
  note    TEXT NOT NULL DEFAULT ''
)""",
    "CREATE INDEX entries_of_run ON entries (run, id)",
)


class Recorder:
    """Writes one run's events down; an ``Emit``. Progress is for the eye and is not kept.

    A journal that can't be written must not stop work on a platform half-way: the first such failure is kept in
    ``trouble`` and told when the run ends.
    """

    def __init__(self, connection: sqlite3.Connection, run: int) -> None:
        self.run = run
        self.fault = ""  # why the run failed although it came to its end: what it found, not what broke it
        self.trouble: sqlite3.Error | None = None
        self._connection = connection
        self._begin = monotonic()
        self._one_at_a_time = Lock()

    def __call__(self, event: Event) -> None:
        match event:
            case Started():
                row: tuple[str, float | None, int | None, str] = ("started", None, None, "")
            case Finished():
                row = ("finished", event.seconds, int(event.changed), event.note)
            case Failed():
                row = ("failed", event.seconds, None, event.error)
            case _:
                return
        kind, seconds, changed, note = row
        with self._one_at_a_time:
            if self.trouble is not None:
                return
            try:
                self._connection.execute(
                    "INSERT INTO entries (run, at, subject, step, kind, seconds, changed, note)"
                    " VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                    (self.run, event.at - self._begin, event.subject, event.step, kind, seconds, changed, note),
                )
            except sqlite3.Error as error:
                self.trouble = error


@contextmanager
def recorded(home: Home, platform: str, command: str, digest: str = "") -> Iterator[Recorder]:
    """Journal the block as one run of ``command``; it yields the Emit that keeps its events.

    ``digest`` is the cluster file's sha256 (hex). The run ends as done, failed (with the error's words) or
    interrupted, by how the block ends.
    """
    home.prepare()
    connection = connect(home.journal)
    try:
        recorder = Recorder(connection, _begin(connection, home.journal, platform, command, digest))
        try:
            yield recorder
        except (KeyboardInterrupt, asyncio.CancelledError, Interrupted):
            _end(recorder, connection, "interrupted", "")
            raise
        except BaseException as error:
            _end(recorder, connection, "failed", "; ".join(words(error)))
            raise
        _end(recorder, connection, "failed" if recorder.fault else "done", recorder.fault)
        if recorder.trouble is not None:
            raise damaged(home.journal, recorder.trouble) from recorder.trouble
    finally:
        connection.close()


def connect(path: Path) -> sqlite3.Connection:
    """Open the journal, made where there is none; StoreError where it is damaged or of a newer groundplane."""
    if not path.exists():
        create_private(path, b"")  # SQLite gives its own files beside it the same mode
    try:
        # Events may come from helper threads; Recorder lets in one at a time.
        connection = sqlite3.connect(path, timeout=10, isolation_level=None, check_same_thread=False)
        try:
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA synchronous = NORMAL")
            _ensure_tables(connection, path)
        except BaseException:
            connection.close()
            raise
    except sqlite3.Error as error:
        raise damaged(path, error) from error
    return connection


def damaged(path: Path, error: sqlite3.Error) -> StoreError:
    """The StoreError for SQLite's refusal at ``path``."""
    return StoreError(
        "the journal can't be used",
        where=str(path),
        hint="the platform itself is not affected; make room on that file system, or move the file away: "
        "a new journal is begun then",
        detail=str(error),
    )


def words(error: BaseException) -> Iterator[str]:
    """Every failure in ``error``, in one line each; cancellations that only followed from them are left out."""
    if isinstance(error, BaseExceptionGroup):
        for inner in error.exceptions:
            yield from words(inner)
    elif isinstance(error, GroundplaneError):
        yield str(error)
    elif not isinstance(error, asyncio.CancelledError):
        # The words of a foreign exception may quote what it choked on, so only its name is kept.
        yield type(error).__name__


def _ensure_tables(connection: sqlite3.Connection, path: Path) -> None:
    if _schema(connection) == 0:
        connection.execute("BEGIN IMMEDIATE")
        try:
            if _schema(connection) == 0:  # another process may have been quicker
                for statement in TABLES:
                    connection.execute(statement)
                connection.execute(f"PRAGMA user_version = {SCHEMA}")
            connection.execute("COMMIT")
        except BaseException:
            connection.execute("ROLLBACK")
            raise
    if (version := _schema(connection)) > SCHEMA:
        raise StoreError(
            f"the journal was written by a newer groundplane (schema {version}, this one knows {SCHEMA})",
            where=str(path),
            hint="use that newer groundplane, or another folder with --state-dir",
        )


def _schema(connection: sqlite3.Connection) -> int:
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    return int(version)


def _begin(connection: sqlite3.Connection, path: Path, platform: str, command: str, digest: str) -> int:
    me = Who.am_i()
    try:
        with _outlasting(connection):
            row = connection.execute(
                "INSERT INTO runs (platform, command, started, user, host, process, digest, version)"
                " VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                (platform, command, time(), me.user, me.host, me.process, digest, __version__),
            ).lastrowid
    except sqlite3.Error as error:
        raise damaged(path, error) from error
    assert row is not None
    return row


def _end(recorder: Recorder, connection: sqlite3.Connection, outcome: str, error: str) -> None:
    try:
        with _outlasting(connection):
            connection.execute(
                "UPDATE runs SET ended = ?, outcome = ?, error = ? WHERE id = ?", (time(), outcome, error, recorder.run)
            )
    except sqlite3.Error as trouble:
        recorder.trouble = recorder.trouble or trouble


@contextmanager
def _outlasting(connection: sqlite3.Connection) -> Iterator[None]:
    connection.execute("PRAGMA synchronous = FULL")
    try:
        yield
    finally:
        connection.execute("PRAGMA synchronous = NORMAL")
