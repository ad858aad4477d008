"""Private files: whole or not there, ours alone."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from groundplane.errors import StoreError
from groundplane.store import Home, files, private_folder, put_private, put_tree, read_private, write_private
from groundplane.store.home import FORMAT


def mode(path: Path) -> int:
    return path.stat().st_mode & 0o777


def test_written_files_are_private_and_replaced_whole(tmp_path: Path) -> None:
    path = tmp_path / "key"
    write_private(path, b"one")
    write_private(path, b"two")
    assert read_private(path) == b"two"
    assert mode(path) == 0o600
    assert [entry.name for entry in tmp_path.iterdir()] == ["key"]


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "key"
    write_private(path, b"old")

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(StoreError, match="No space left") as caught:
        write_private(path, b"new")
    assert "make room" in caught.value.hint
    assert path.read_bytes() == b"old"
    assert [entry.name for entry in tmp_path.iterdir()] == ["key"]


def test_create_never_overwrites(tmp_path: Path) -> None:
    path = tmp_path / "key"
    assert files.create_private(path, b"first")
    assert not files.create_private(path, b"second")
    assert path.read_bytes() == b"first"
    assert [entry.name for entry in tmp_path.iterdir()] == ["key"]


def test_links_are_not_followed(tmp_path: Path) -> None:
    target = tmp_path / "target"
    target.write_bytes(b"theirs")
    link = tmp_path / "link"
    link.symlink_to(target)
    with pytest.raises(StoreError, match="can't be used"):
        read_private(link)
    write_private(link, b"ours")
    assert target.read_bytes() == b"theirs"
    assert not link.is_symlink()


def test_reading_tightens_loose_modes_and_refuses_what_is_no_file(tmp_path: Path) -> None:
    path = tmp_path / "key"
    path.write_bytes(b"x")
    path.chmod(0o644)
    assert read_private(path) == b"x"
    assert mode(path) == 0o600
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(StoreError, match="not a regular file"):
        read_private(tmp_path / "pipe")
    assert read_private(tmp_path / "none") is None


def test_folders_become_private(tmp_path: Path) -> None:
    folder = tmp_path / "a" / "b"
    folder.mkdir(parents=True, mode=0o755)
    assert mode(private_folder(folder)) == 0o700
    assert mode(private_folder(tmp_path / "new")) == 0o700


def test_folders_anybody_may_replace_are_refused(tmp_path: Path) -> None:
    above = tmp_path / "open"
    above.mkdir()
    above.chmod(0o777)
    with pytest.raises(StoreError, match="every user"):
        private_folder(above / "state")
    above.chmod(0o1777)  # as /tmp is: others can't rename what is ours
    private_folder(above / "state")


def test_folders_and_files_of_others_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "key").write_bytes(b"x")
    monkeypatch.setattr(os, "geteuid", lambda: os.getuid() + 1)
    with pytest.raises(StoreError, match="another user"):
        private_folder(tmp_path)
    with pytest.raises(StoreError, match="another user"):
        read_private(tmp_path / "key")


def test_home_follows_xdg_and_the_options(tmp_path: Path) -> None:
    environ = {"XDG_STATE_HOME": "/s", "XDG_CACHE_HOME": "relative/is/invalid", "HOME": "/home/ann"}
    home = Home.find(environ=environ)
    assert home.state == Path("/s/groundplane")
    assert home.cache == Path("/home/ann/.cache/groundplane")
    assert Home.find(tmp_path / "s", tmp_path / "c", environ) == Home(tmp_path / "s", tmp_path / "c")


@pytest.mark.parametrize("name", ["", ".", "..", "../x", "a/b", "/etc", ".hidden"])
def test_names_that_lead_elsewhere_are_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(StoreError, match="not a platform's name"):
        Home(tmp_path, tmp_path).platform(name)


def test_state_of_a_newer_version_is_refused(tmp_path: Path) -> None:
    home = Home(tmp_path / "state", tmp_path / "cache").prepare()
    assert (home.state / "format").read_text() == f"{FORMAT}\n"
    (home.state / "format").write_text(f"{FORMAT + 1}\n")
    with pytest.raises(StoreError, match="newer groundplane"):
        home.prepare()
    (home.state / "format").write_text("")
    with pytest.raises(StoreError, match="damaged"):
        home.prepare()


def test_what_can_be_made_again_is_private_and_new(tmp_path: Path) -> None:
    path = tmp_path / "file"
    put_private(path, b"one")
    assert (path.read_bytes(), path.stat().st_mode & 0o777) == (b"one", 0o600)
    with pytest.raises(StoreError, match="File exists"):
        put_private(path, b"two")
    (tmp_path / "link").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(StoreError):
        put_private(tmp_path / "link", b"x")
    assert not (tmp_path / "elsewhere").exists()


def test_a_tree_is_written_whole(tmp_path: Path) -> None:
    put_tree(tmp_path / "new" / "out", {"a/b": b"1", "a/c/d": b"2", "e": b"3"})
    found = {
        str(path.relative_to(tmp_path / "new/out")): path for path in (tmp_path / "new").rglob("*") if path.is_file()
    }
    assert {name: path.read_bytes() for name, path in found.items()} == {"a/b": b"1", "a/c/d": b"2", "e": b"3"}
    assert {mode(path) for path in found.values()} == {0o600}


def test_of_a_tree_that_can_not_be_written_nothing_is_left(tmp_path: Path) -> None:
    with pytest.raises(StoreError) as caught:
        put_tree(tmp_path / "new" / "out", {"a/b": b"1", f"a/{'c' * 300}": b"2"})
    assert caught.value.hint == "choose a folder with a shorter path"
    assert list(tmp_path.iterdir()) == []


def test_whatever_the_system_refuses_has_a_remedy() -> None:
    for number in errno.errorcode:
        assert files.unusable(Path("/x"), OSError(number, os.strerror(number))).hint
