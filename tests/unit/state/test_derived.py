from __future__ import annotations

import json

import pytest

from groundplane.state.derived import (
    SYSCTL_FILE,
    MachineManifest,
    all_files,
    all_units,
    manifest_content,
    manifest_of,
    mount_content,
    mount_unit,
)
from groundplane.state.model import File, MachineState, Mount, Symlink, Sysctl, Unit, Volume

STATE = MachineState(
    "m",
    files=(File("/z", b""), File("/var/cib.xml", b"", initial=True)),
    units=(
        Unit("a.service"),
        Unit("b.service", enabled=False, active=None),
        Unit("c.service", masked=True),
        Unit("d.service", active=None),
    ),
    sysctls=(Sysctl("net.ipv4.ip_forward", "1"),),
    links=(Symlink("/l", "/z"),),
    mounts=(Mount("server:/v", "/srv/vol", "glusterfs", ("_netdev", "log-level=W%")),),
    volumes=(Volume("vg", "data", 1, "xfs", "/srv"), Volume("vg", "raw", 1)),
)


def test_the_manifest_names_what_is_ours() -> None:
    assert manifest_of(STATE) == MachineManifest(
        files=(SYSCTL_FILE, "/etc/systemd/system/srv-vol.mount", "/etc/systemd/system/srv.mount", "/z"),
        links=("/l",),
        units=("a.service", "d.service", "srv-vol.mount", "srv.mount"),
        masked=("c.service",),
    )


def test_the_manifests_bytes_are_versioned_json() -> None:
    assert json.loads(manifest_content(MachineManifest(files=("/a",)))) == {
        "version": 1,
        "files": ["/a"],
        "links": [],
        "units": [],
        "masked": [],
    }


def test_joining_loses_nothing_and_keeps_order() -> None:
    joined = MachineManifest(files=("/b",), units=("x",)).joined(MachineManifest(files=("/a", "/b"), masked=("y",)))
    assert joined == MachineManifest(files=("/a", "/b"), units=("x",), masked=("y",))


def test_resources_become_the_files_and_units_that_carry_them() -> None:
    files = {file.path: file.content for file in all_files(STATE)}
    assert files[SYSCTL_FILE] == b"net.ipv4.ip_forward = 1\n"
    assert list(files) == sorted(files)
    assert {unit.name for unit in all_units(STATE)} >= {"srv.mount", "srv-vol.mount"}


def test_a_mounts_unit_says_what_mount_would_be_told() -> None:
    remote = mount_content(STATE.mounts[0]).decode().splitlines()
    assert "What=server:/v" in remote
    assert "Options=_netdev,log-level=W%%" in remote
    assert remote[-1] == "WantedBy=remote-fs.target"
    assert b"Options" not in mount_content(Mount("/dev/x", "/x", "ext4"))


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("/", "-.mount"),
        ("/mnt/a-b", "mnt-a\\x2db.mount"),
        ("/.hidden//x.y/", "\\x2ehidden-x.y.mount"),
        ("/ä b", "\\xc3\\xa4\\x20b.mount"),
    ],
)
def test_names_of_mounts_are_escaped_as_systemd_does(path: str, name: str) -> None:
    assert mount_unit(path) == name
