from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from groundplane.errors import HostError
from groundplane.machines.lab import host


def test_all_that_is_missing_is_installed_by_one_command() -> None:
    found = host.missing_tools(lambda tool: None if tool in ("systemd-nspawn", "ip", "mount") else f"/bin/{tool}")
    lacking = [finding for finding in found if not finding.fine]
    assert [finding.name for finding in lacking] == ["systemd-nspawn", "ip", "mount"]
    assert {finding.remedy for finding in lacking} == {"apt-get install iproute2 mount systemd-container"}


def test_nothing_missing_needs_no_remedy() -> None:
    assert all(finding.fine and not finding.remedy for finding in host.missing_tools(lambda tool: f"/bin/{tool}"))


def test_a_lab_that_stands_can_be_removed_without_the_tools_that_make_one(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("os.geteuid", lambda: 0)
    lacking = host.missing_tools(lambda tool: None if tool in ("mmdebstrap", "systemd-nspawn") else f"/bin/{tool}")
    monkeypatch.setattr(host, "missing_tools", lambda: lacking)
    host.require_entry()
    with pytest.raises(HostError, match="systemd-nspawn, mmdebstrap") as caught:
        host.require_lab(tmp_path)
    assert caught.value.hint == "run: apt-get install mmdebstrap systemd-container"
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    with pytest.raises(HostError, match="root"):
        host.require_entry()


def test_the_file_system_of_a_folder_that_is_not_there_yet(tmp_path: Path) -> None:
    table = (
        "1 0 8:1 / / rw - ext4 /dev/a rw\n2 1 0:1 / /home rw - overlay overlay rw\n3 1 0:1 / /home/x rw - xfs /dev/b rw"
    )
    assert host.file_system(Path("/home/x/y/z"), table) == (Path("/home/x"), "xfs")
    assert host.file_system(Path("/home/xy"), table) == (Path("/home"), "overlay")
    assert host.file_system(Path("/srv"), table) == (Path("/"), "ext4")


def test_a_state_folder_on_an_overlay_is_refused(tmp_path: Path) -> None:
    for kind, fine in (("overlay", False), ("ext4", True), ("btrfs", True), ("fuse.sshfs", False), ("nfs4", False)):
        (tmp_path / "table").write_text(f"1 0 8:1 / / rw - {kind} /dev/a rw\n")
        assert host.upper_layer(Path("/state"), tmp_path / "table").fine is fine


def test_the_keyring_is_installed_by_that_command_too() -> None:
    found = host.missing_tools(lambda tool: None if tool == "ip" else f"/bin/{tool}", (host.KEYS,))
    assert {finding.remedy for finding in found} == {"apt-get install debian-archive-keyring iproute2"}


def test_who_is_not_root_is_not_told_of_links(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    found = host.network_features(lambda argv: pytest.fail(f"asked {argv}"))
    assert {finding.seen for finding in found} == {"only root can tell"}
    assert {finding.remedy for finding in found} == {"run the command with sudo"}


def test_links_the_kernel_lacks_are_told_in_its_own_words(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.geteuid", lambda: 0)

    def run(argv: Sequence[str]) -> str:
        assert argv[:2] == ("unshare", "--net")
        return "Error: Unknown device type." if "vxlan" in argv else ""

    found = {finding.name: finding for finding in host.network_features(run)}
    assert (found["veth"].fine, found["bridge"].fine, found["vxlan"].fine) == (True, True, False)
    assert found["vxlan"].seen == "Error: Unknown device type."


def test_memory_is_what_is_available(tmp_path: Path) -> None:
    (tmp_path / "meminfo").write_text("MemTotal: 8388608 kB\nMemAvailable: 2097152 kB\n")
    assert not host.memory(tmp_path / "meminfo").fine
    assert host.memory(tmp_path / "meminfo", needed=1 << 30).fine


def test_space_is_looked_up_where_the_folder_will_be(tmp_path: Path) -> None:
    assert host.space(tmp_path / "not/yet", needed=1).fine
    assert not host.space(tmp_path / "not/yet", needed=1 << 62).fine


def test_control_groups_and_kernel_settings_are_told(make_host: Callable[..., Path]) -> None:
    root = make_host(2)
    assert host.control_groups(root).seen == "version 2"
    (root / "proc/self/mountinfo").write_text("22 27 0:21 / /proc rw,relatime - proc proc rw\n")
    assert not host.control_groups(root).fine
    assert host.kernel_settings(root).seen == "as a lab needs them"
    (root / "proc/sys/kernel").mkdir(parents=True)
    (root / "proc/sys/kernel/panic").write_text("0\n")
    assert "kernel.panic 0 → 10" in host.kernel_settings(root).seen
