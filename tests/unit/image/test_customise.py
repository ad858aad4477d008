from __future__ import annotations

from pathlib import Path

from groundplane.image.customise import _silence_old_scripts, depersonalise, lay_files


def test_files_are_laid_over_what_packages_brought(tmp_path: Path) -> None:
    tree, root = tmp_path / "tree", tmp_path / "root"
    (tree / "etc/x").mkdir(parents=True)
    (tree / "etc/x/y").write_text("ours")
    (tree / "etc/x/y").chmod(0o600)
    (root / "etc/x").mkdir(parents=True)
    (root / "etc/x/y").symlink_to("/nowhere")
    lay_files(root, tree)
    assert (root / "etc/x/y").read_text() == "ours"
    assert (root / "etc/x/y").stat().st_mode & 0o777 == 0o644


def test_nothing_personal_is_left(tmp_path: Path) -> None:
    for name in ("etc/hostname", "etc/ssh/ssh_host_ed25519_key", "etc/ssh/sshd_config", "etc/machine-id"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("personal")
    depersonalise(tmp_path)
    assert sorted(str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*") if path.is_file()) == [
        "etc/machine-id",
        "etc/resolv.conf",
        "etc/ssh/sshd_config",
    ]
    assert (tmp_path / "etc/machine-id").read_text() == ""
    assert (tmp_path / "etc/resolv.conf").read_text() == ""


def test_old_scripts_stop_starting_but_stay_known(tmp_path: Path) -> None:
    (tmp_path / "etc/rc2.d").mkdir(parents=True)
    (tmp_path / "etc/rc2.d/S01dnsmasq").symlink_to("../init.d/dnsmasq")
    (tmp_path / "etc/rc2.d/K01logd").symlink_to("../init.d/logd")
    _silence_old_scripts(tmp_path)
    assert sorted(path.name for path in (tmp_path / "etc/rc2.d").iterdir()) == ["K01dnsmasq", "K01logd"]


def test_a_script_beside_its_unit_goes(tmp_path: Path) -> None:
    for folder in ("etc/init.d", "etc/rc2.d", "usr/lib/systemd/system"):
        (tmp_path / folder).mkdir(parents=True)
    for name in ("chrony", "logd"):
        (tmp_path / "etc/init.d" / name).touch()
        (tmp_path / f"etc/rc2.d/S01{name}").symlink_to(f"../init.d/{name}")
    (tmp_path / "usr/lib/systemd/system/chrony.service").touch()
    _silence_old_scripts(tmp_path)
    assert [path.name for path in (tmp_path / "etc/init.d").iterdir()] == ["logd"]
    assert [path.name for path in (tmp_path / "etc/rc2.d").iterdir()] == ["K01logd"]
