"""The journal: who did what, how it ended, also when nobody could say so any more."""

from __future__ import annotations

import asyncio
import os
import sqlite3
from pathlib import Path

import pytest

from groundplane.errors import GroundplaneError, Interrupted, StoreError
from groundplane.events import Failed, Finished, Progress, Started, reported, tee
from groundplane.store import Home, Recorder, RunOutcome, alive, recorded, runs, show
from groundplane.store.journal import connect
from groundplane.store.who import identity


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path / "state", tmp_path / "cache")


def test_a_run_is_kept_with_its_events(home: Home) -> None:
    with recorded(home, "demo", "up", "abc") as journal:
        seen: list[object] = []
        emit = tee(journal, seen.append)
        with reported(emit, "cp1", "boot") as outcome:
            emit(Progress("cp1", "boot", note="waiting"))
            outcome.note = "3 units"
        with pytest.raises(GroundplaneError), reported(emit, "cp1", "join"):
            raise GroundplaneError("no quorum")
        (during,) = runs(home)
        assert during.outcome is RunOutcome.RUNNING
        assert during.ended is None
    assert len(seen) == 5
    run, entries = show(home, journal.run)
    assert (run.platform, run.command, run.digest, run.outcome, run.error) == ("demo", "up", "abc", RunOutcome.DONE, "")
    assert run.ended is not None
    assert [(entry.subject, entry.step, entry.kind, entry.changed, entry.note) for entry in entries] == [
        ("cp1", "boot", "started", None, ""),
        ("cp1", "boot", "finished", True, "3 units"),
        ("cp1", "join", "started", None, ""),
        ("cp1", "join", "failed", None, "no quorum"),
    ]
    assert (home.journal.stat().st_mode & 0o777) == 0o600


@pytest.mark.parametrize(
    ("error", "outcome", "words"),
    [
        (GroundplaneError("it broke", where="cp1"), RunOutcome.FAILED, "cp1: it broke"),
        (ValueError("secret value"), RunOutcome.FAILED, "ValueError"),
        (
            ExceptionGroup("", [GroundplaneError("a"), ExceptionGroup("", [GroundplaneError("b"), OSError()])]),
            RunOutcome.FAILED,
            "a; b; OSError",
        ),
        (Interrupted("stop"), RunOutcome.INTERRUPTED, ""),
        (KeyboardInterrupt(), RunOutcome.INTERRUPTED, ""),
        (asyncio.CancelledError(), RunOutcome.INTERRUPTED, ""),
    ],
)
def test_how_a_run_ended(home: Home, error: BaseException, outcome: RunOutcome, words: str) -> None:
    with pytest.raises(type(error)), recorded(home, "demo", "up"):
        raise error
    (run,) = runs(home)
    assert (run.outcome, run.error) == (outcome, words)


def test_a_killed_run_is_shown_as_interrupted(home: Home) -> None:
    home.prepare()
    connection = connect(home.journal)
    connection.execute(
        "INSERT INTO runs (platform, command, started, user, host, process, digest, version)"
        " VALUES ('demo', 'up', 1.0, 'ann', 'here', 'boot/1/2', '', '0')"
    )
    # Neither closed nor checkpointed: what kill -9 leaves. Another connection reads it from the log.
    (run,) = runs(home)
    assert run.outcome is RunOutcome.INTERRUPTED
    (run,) = runs(home, is_alive=lambda process: process == "boot/1/2")
    assert run.outcome is RunOutcome.RUNNING
    connection.close()


def test_processes_are_told_apart() -> None:
    me = identity(os.getpid())
    assert alive(me)
    boot, pid, started = me.split("/")
    assert not alive(f"{boot}/{pid}/{int(started) + 1}")
    assert not alive(f"other/{pid}/{started}")
    assert not alive("")
    assert identity(2**22 + 1) == ""


def test_runs_are_listed_newest_first(home: Home) -> None:
    for platform in ("one", "two", "one"):
        with recorded(home, platform, "up"):
            pass
    assert [(run.id, run.platform) for run in runs(home)] == [(3, "one"), (2, "two"), (1, "one")]
    assert [run.id for run in runs(home, platform="one")] == [3, 1]
    assert [run.id for run in runs(home, limit=1)] == [3]


def test_no_journal_is_an_empty_one_and_is_not_made(home: Home) -> None:
    assert runs(home) == ()
    with pytest.raises(StoreError, match="no run 7"):
        show(home, 7)
    assert not home.state.exists()


def test_a_newer_schema_is_refused(home: Home) -> None:
    with recorded(home, "demo", "up"):
        pass
    with sqlite3.connect(home.journal) as connection:
        connection.execute("PRAGMA user_version = 99")
    connection.close()
    with pytest.raises(StoreError, match="newer groundplane"):
        runs(home)


def test_a_damaged_journal_is_said_and_not_overwritten(home: Home) -> None:
    home.prepare()
    home.journal.write_bytes(b"not a database, but long enough to look at" * 50)
    before = home.journal.read_bytes()
    with pytest.raises(StoreError, match="journal can't be used"), recorded(home, "demo", "up"):
        pytest.fail("it is damaged")
    assert home.journal.read_bytes() == before


def test_trouble_while_recording_waits_until_the_work_is_done(home: Home) -> None:
    ended: list[str] = []

    def work(journal: Recorder) -> None:
        connection = sqlite3.connect(home.journal)
        connection.execute("DROP TABLE entries")
        connection.close()
        for event in (Started("cp1", "boot"), Finished("cp1", "boot"), Failed("cp1", "boot")):
            journal(event)
        ended.append("work")

    with pytest.raises(StoreError, match="journal can't be used"), recorded(home, "demo", "up") as journal:
        work(journal)
    assert ended == ["work"]


def test_a_run_that_found_a_fault_failed(tmp_path: Path) -> None:
    home = Home(tmp_path / "state", tmp_path / "cache")
    with recorded(home, "lab", "up") as recorder:
        recorder.fault = "etcd failed"
    assert [(run.outcome, run.error) for run in runs(home)] == [("failed", "etcd failed")]
