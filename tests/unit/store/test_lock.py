"""One groundplane at a time per platform. flock(2) conflicts between two opens of one process, too."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

import pytest

from groundplane.errors import LockHeld, StoreError
from groundplane.store import Home, Store, locked, read_holder


def test_the_second_is_told_who_holds_it(tmp_path: Path) -> None:
    path = tmp_path / "demo.lock"
    with locked(path, "up -f demo.yaml"):
        holder = read_holder(path)
        assert holder is not None
        assert holder.pid == os.getpid()
        with pytest.raises(LockHeld) as caught, locked(path, "down"):
            pytest.fail("two hold the lock")
    words = str(caught.value)
    for expected in ("up -f demo.yaml", str(os.getpid()), holder.user, holder.host, holder.since):
        assert expected in words
    assert caught.value.where == "demo"
    assert str(os.getpid()) in caught.value.hint


def test_the_file_stays_and_the_lock_goes(tmp_path: Path) -> None:
    path = tmp_path / "demo.lock"
    with pytest.raises(RuntimeError), locked(path, "up"):
        raise RuntimeError
    assert path.exists()
    assert read_holder(path) is None
    with locked(path, "up"):
        pass


def test_what_a_crash_left_behind_is_no_obstacle(tmp_path: Path) -> None:
    path = tmp_path / "demo.lock"
    path.write_text('{"pid": 1, "user": "root", "host": "h", "command": "up", "since": "2026-01-01T00:00:00+00:00"}')
    with locked(path, "up"):
        assert (found := read_holder(path)) is not None
        assert found.pid == os.getpid()


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"pid": "x"}', b"\xff\xfe"])
def test_torn_words_about_the_holder_still_refuse(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "demo.lock"
    path.write_bytes(content)
    handle = os.open(path, os.O_RDWR)
    fcntl.flock(handle, fcntl.LOCK_EX)
    try:
        with pytest.raises(LockHeld, match="another groundplane works"), locked(path, "up"):
            pytest.fail("two hold the lock")
    finally:
        os.close(handle)


def test_children_do_not_inherit_it(tmp_path: Path) -> None:
    path = tmp_path / "demo.lock"
    with locked(path, "up"):
        handles = [int(entry) for entry in os.listdir("/proc/self/fd")]
        ours = [handle for handle in handles if os.path.realpath(f"/proc/self/fd/{handle}") == str(path)]
        assert ours
        assert not any(os.get_inheritable(handle) for handle in ours)


def test_platforms_do_not_lock_each_other(tmp_path: Path) -> None:
    home = Home(tmp_path / "state", tmp_path / "cache")
    with Store(home, "one").lock("up"), Store(home, "two").lock("up"):
        pass


def test_an_unusable_lock_says_so(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="can't be used"), locked(tmp_path / "none" / "demo.lock", "up"):
        pytest.fail("there is no such folder")
