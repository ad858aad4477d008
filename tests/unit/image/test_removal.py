from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from groundplane.errors import StoreError
from groundplane.image.removal import mounts_under, remove_tree, unescape

LINE = "36 27 0:4 / {point} rw,relatime - tmpfs tmpfs rw"


def table(tmp_path: Path, *points: Path) -> Path:
    path = tmp_path / "mountinfo"
    path.write_text("\n".join(LINE.format(point=str(point).replace(" ", "\\040")) for point in points) + "\n")
    return path


def test_a_tree_goes_and_what_its_links_point_at_stays(tmp_path: Path) -> None:
    kept = tmp_path / "kept"
    kept.mkdir()
    (kept / "file").write_text("mine")
    tree = tmp_path / "tree"
    (tree / "a/b").mkdir(parents=True)
    (tree / "a/b/file").touch()
    (tree / "a/link").symlink_to(kept)
    remove_tree(tree, mountinfo=table(tmp_path))
    assert not tree.exists()
    assert (kept / "file").read_text() == "mine"


def test_a_link_in_the_trees_place_is_removed_and_not_followed(tmp_path: Path) -> None:
    kept = tmp_path / "kept"
    kept.mkdir()
    (tmp_path / "tree").symlink_to(kept)
    remove_tree(tmp_path / "tree", mountinfo=table(tmp_path))
    assert kept.is_dir()
    assert not (tmp_path / "tree").is_symlink()


def test_a_mount_anywhere_below_forbids_all_removal(tmp_path: Path) -> None:
    tree = tmp_path / "tree"
    (tree / "dev").mkdir(parents=True)
    (tree / "file").touch()
    with pytest.raises(StoreError, match="still mounted") as caught:
        remove_tree(tree, mountinfo=table(tmp_path, tree / "dev"))
    assert str(tree / "dev") in caught.value.hint
    assert (tree / "file").exists()


def test_another_file_system_is_not_entered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tree = tmp_path / "tree"
    (tree / "other").mkdir(parents=True)
    (tree / "other/file").touch()
    inode = os.stat(tree / "other").st_ino
    real = os.fstat

    def elsewhere(handle: int) -> os.stat_result:
        found = real(handle)
        if found.st_ino != inode:
            return found
        return os.stat_result((*found[:2], found.st_dev + 1, *found[3:10]))

    monkeypatch.setattr(os, "fstat", elsewhere)
    with pytest.raises(StoreError, match="another file system"):
        remove_tree(tree, mountinfo=table(tmp_path))
    assert (tree / "other/file").exists()


def test_nothing_there_is_fine(tmp_path: Path) -> None:
    remove_tree(tmp_path / "never", mountinfo=table(tmp_path))


def test_mounts_come_deepest_first(tmp_path: Path) -> None:
    text = table(tmp_path, Path("/s"), Path("/s/a b"), Path("/s/a b/c"), Path("/st")).read_text()
    assert mounts_under(Path("/s"), text) == (Path("/s/a b/c"), Path("/s/a b"), Path("/s"))


def test_mountinfo_escapes() -> None:
    assert unescape(r"/a\040b\134c") == "/a b\\c"


def test_a_tree_deeper_than_the_stack_and_the_open_files_goes(tmp_path: Path) -> None:
    tree = tmp_path / "tree"
    tree.mkdir()
    handle = os.open(tree, os.O_RDONLY)
    for _ in range(sys.getrecursionlimit() + 500):
        os.mkdir("d", dir_fd=handle)
        os.close(os.open("f", os.O_CREAT | os.O_WRONLY, dir_fd=handle))
        below = os.open("d", os.O_RDONLY, dir_fd=handle)
        os.close(handle)
        handle = below
    os.close(handle)
    remove_tree(tree, mountinfo=table(tmp_path))
    assert not tree.exists()
