from __future__ import annotations

from pathlib import Path

from groundplane.machines.lab.guest import MASKED, UNITS, layer_digest, write_layer


def test_the_layer_is_exactly_this(tmp_path: Path) -> None:
    layer = write_layer(tmp_path)
    found = {str(path.relative_to(layer)) for path in layer.rglob("*") if path.is_symlink() or path.is_file()}
    assert found == {
        "etc/cloud/cloud.cfg.d/95-lab.cfg",
        "etc/systemd/journald.conf.d/20-lab.conf",
        f"{UNITS}/groundplane-lab.service",
        f"{UNITS}/sysinit.target.wants/groundplane-lab.service",
        *(f"{UNITS}/{unit}" for unit in MASKED),
    }
    assert all((layer / UNITS / unit).readlink() == Path("/dev/null") for unit in MASKED)


def test_every_folder_can_be_entered_by_everybody(tmp_path: Path) -> None:
    layer = write_layer(tmp_path)
    folders = [layer, *(path for path in layer.rglob("*") if path.is_dir() and not path.is_symlink())]
    assert {folder.stat().st_mode & 0o777 for folder in folders} == {0o755}


def test_a_second_time_changes_nothing_and_a_torn_one_is_made_anew(tmp_path: Path) -> None:
    (tmp_path / f".partial-{layer_digest()}/etc").mkdir(parents=True)
    layer = write_layer(tmp_path)
    stamp = layer.stat().st_mtime_ns
    assert write_layer(tmp_path) == layer
    assert layer.stat().st_mtime_ns == stamp
    assert [path.name for path in tmp_path.iterdir()] == [layer_digest()]


def test_sys_stays_read_only_and_of_proc_sys_only_the_network_is_opened(tmp_path: Path) -> None:
    unit = (write_layer(tmp_path) / UNITS / "groundplane-lab.service").read_text()
    lines = [line for line in unit.splitlines() if not line.startswith("#")]
    assert not any(" /sys;" in line or " /sys " in line or " /proc/sys;" in line for line in lines)
    assert any("rw" in line and "/proc/sys/net;" in line for line in lines)


def test_nothing_a_platform_needs_is_masked() -> None:
    needed = ("systemd-networkd.service", "systemd-networkd-wait-online.service", "dbus.service", "cloud-init.service")
    assert not set(needed) & set(MASKED)
    assert list(MASKED) == sorted(set(MASKED))
