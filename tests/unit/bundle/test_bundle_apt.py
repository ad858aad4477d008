"""Reading the machine's own apt sources, in both formats."""

from __future__ import annotations

from pathlib import Path

import pytest

from groundplane.bundle.apt import (
    AptSource,
    host_mirrors,
    host_sources,
    keyring,
    parse_deb822,
    parse_one_line,
)
from groundplane.errors import HostError

DEB822 = """\
# a comment
Types: deb deb-src
URIs: http://mirror.example/debian/ http://second.example/debian
Suites: trixie trixie-updates
Components: main contrib
Signed-By:
 -----BEGIN PGP PUBLIC KEY BLOCK-----
 .
 -----END PGP PUBLIC KEY BLOCK-----

Types: deb
URIs: http://mirror.example/debian-security
Suites: trixie-security
Components: main

Enabled: no
Types: deb
URIs: http://off.example/debian
Suites: trixie
Components: main
"""


def apt(tmp_path: Path, **files: str) -> Path:
    (tmp_path / "sources.list.d").mkdir()
    for name, text in files.items():
        path = "sources.list" if name == "main" else f"sources.list.d/{name.replace('_', '.')}"
        (tmp_path / path).write_text(text)
    return tmp_path


def test_deb822_gives_the_main_archive_and_neither_security_nor_disabled_ones(tmp_path: Path) -> None:
    root = apt(tmp_path, debian_sources=DEB822)
    assert host_mirrors("debian", root=root) == (
        "http://mirror.example/debian",
        "http://second.example/debian",
    )
    assert host_mirrors("ubuntu", root=root) == ()


def test_one_line_format_with_options_and_comments(tmp_path: Path) -> None:
    root = apt(
        tmp_path,
        main="# deb http://old.example/debian stable main\n"
        "deb [arch=amd64 signed-by=/k.gpg] http://one.example/ubuntu noble main restricted # why\n"
        "deb http://one.example/ubuntu noble-updates main\n"
        "deb-src http://src.example/ubuntu noble main\n",
        vendor_list="deb https://vendor.example/apt nodistro main\ndeb https://flat.example ./\n",
    )
    assert host_mirrors("ubuntu", root=root) == ("http://one.example/ubuntu",)
    assert host_mirrors("debian", root=root) == ()
    assert host_sources(root)[0] == AptSource("http://one.example/ubuntu", ("noble",), ("main", "restricted"), "/k.gpg")


def test_an_updates_only_entry_is_no_main_archive() -> None:
    [source] = parse_one_line("deb http://x.example/debian trixie-updates main")
    assert not source.serves("debian")


def test_a_vendor_with_a_debian_suite_name_but_no_main_component_is_not_debian() -> None:
    [source] = parse_deb822("Types: deb\nURIs: https://download.example/linux\nSuites: trixie\nComponents: stable\n")
    assert not source.serves("debian")


def test_no_sources_at_all(tmp_path: Path) -> None:
    assert host_mirrors("debian", root=tmp_path) == ()


def test_keyring(tmp_path: Path) -> None:
    with pytest.raises(HostError, match="keyring is missing") as caught:
        keyring("ubuntu", folder=tmp_path)
    assert "ubuntu-keyring" in caught.value.hint
    (tmp_path / "debian-archive-keyring.pgp").touch()
    assert keyring("debian", folder=tmp_path).name == "debian-archive-keyring.pgp"
