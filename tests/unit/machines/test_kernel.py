from __future__ import annotations

from pathlib import Path

import pytest

from groundplane.machines.lab.kernel import SETTINGS, claim, differences, holder, release


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A host whose settings are all 5, but for one that is higher than a lab needs and one the kernel lacks."""
    for setting in SETTINGS:
        path = tmp_path / setting.path
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("5\n")
    (tmp_path / "proc/sys/fs/inotify/max_user_watches").write_text("99999999\n")
    (tmp_path / "proc/sys/vm/panic_on_oom").unlink()
    return tmp_path


def values(root: Path) -> dict[str, str]:
    return {
        setting.key: (root / setting.path).read_text().strip() for setting in SETTINGS if (root / setting.path).exists()
    }


def test_a_claim_applies_and_the_release_puts_back(root: Path, tmp_path: Path) -> None:
    before, shared = values(root), tmp_path / "run"
    assert claim("demo", tmp_path / "state", root=root, shared=shared) is None
    assert values(root)["kernel.panic"] == "10"
    assert values(root)["fs.inotify.max_user_watches"] == "99999999"
    assert differences(root) == ()
    release("demo", tmp_path / "state", root=root, shared=shared)
    assert values(root) == before
    assert not shared.exists()


def test_the_last_of_several_labs_puts_back(root: Path, tmp_path: Path) -> None:
    before, shared = values(root), tmp_path / "run"
    for lab in ("a", "b"):
        (tmp_path / lab).mkdir()
        claim(lab, tmp_path / lab, root=root, shared=shared)
    release("a", tmp_path / "a", root=root, shared=shared)
    assert values(root)["kernel.panic"] == "10"
    release("b", tmp_path / "b", root=root, shared=shared)
    assert values(root) == before


def test_a_lab_whose_folder_vanished_keeps_nothing_raised(root: Path, tmp_path: Path) -> None:
    before, shared = values(root), tmp_path / "run"
    claim("lost", tmp_path / "lost", root=root, shared=shared)
    claim("demo", tmp_path, root=root, shared=shared)
    release("demo", tmp_path, root=root, shared=shared)
    assert values(root) == before


def test_claiming_again_does_not_forget_what_was_before(root: Path, tmp_path: Path) -> None:
    before, shared = values(root), tmp_path / "run"
    claim("demo", tmp_path, root=root, shared=shared)
    claim("demo", tmp_path, root=root, shared=shared)
    release("demo", tmp_path, root=root, shared=shared)
    assert values(root) == before


def test_what_somebody_changed_meanwhile_is_left_alone(root: Path, tmp_path: Path) -> None:
    shared = tmp_path / "run"
    claim("demo", tmp_path, root=root, shared=shared)
    (root / "proc/sys/kernel/panic").write_text("60")
    release("demo", tmp_path, root=root, shared=shared)
    assert values(root)["kernel.panic"] == "60"


def test_a_name_taken_by_another_state_folder_is_refused(root: Path, tmp_path: Path) -> None:
    shared = tmp_path / "run"
    (tmp_path / "one/lab").mkdir(parents=True)
    claim("demo", tmp_path / "one", root=root, shared=shared)
    assert claim("demo", tmp_path / "two", root=root, shared=shared) == tmp_path / "one"
    assert holder("demo", tmp_path / "two", shared=shared) == tmp_path / "one"
    assert holder("demo", tmp_path / "one", shared=shared) is None
    assert holder("other", tmp_path / "two", shared=shared) is None
    (tmp_path / "one/lab").rmdir()
    assert claim("demo", tmp_path / "two", root=root, shared=shared) is None


def test_releasing_what_another_holds_changes_nothing(root: Path, tmp_path: Path) -> None:
    shared = tmp_path / "run"
    (tmp_path / "one").mkdir()
    claim("demo", tmp_path / "one", root=root, shared=shared)
    release("demo", tmp_path / "two", root=root, shared=shared)
    assert values(root)["kernel.panic"] == "10"


def test_a_damaged_record_counts_as_none(root: Path, tmp_path: Path) -> None:
    shared = tmp_path / "run"
    claim("demo", tmp_path, root=root, shared=shared)
    (shared / "kernel.json").write_text("{torn")
    assert claim("demo", tmp_path, root=root, shared=shared) is None
    release("demo", tmp_path, root=root, shared=shared)
    assert not shared.exists()


def test_doctor_sees_what_would_change(root: Path) -> None:
    assert {difference.setting.key for difference in differences(root)} == set(values(root)) - {
        "fs.inotify.max_user_watches"
    }
    assert all(difference.present == 5 for difference in differences(root))
