"""Reading the machine's own apt sources, in both formats."""

from __future__ import annotations

from pathlib import Path

import pytest

from groundplane.bundle.apt import (
    AptSource,
    deb_lines,
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
    assert deb_lines("debian", "trixie", ("main",), root=tmp_path) == ()


def test_updates_and_security_fixes_come_from_where_the_machine_takes_its_own(tmp_path: Path) -> None:
    """The machine's own release is another one than the tree's."""
    root = apt(tmp_path, debian_sources=DEB822)
    assert deb_lines("debian", "bookworm", ("main",), root=root) == (
        "deb http://mirror.example/debian bookworm main",
        "deb http://second.example/debian bookworm main",
        "deb http://mirror.example/debian bookworm-updates main",
        "deb http://second.example/debian bookworm-updates main",
        "deb http://mirror.example/debian-security bookworm-security main",
    )


def test_a_machine_that_takes_no_security_fixes_has_none_to_give(tmp_path: Path) -> None:
    root = apt(tmp_path, main="deb http://one.example/ubuntu noble main\n")
    assert deb_lines("ubuntu", "jammy", ("main", "universe"), root=root) == (
        "deb http://one.example/ubuntu jammy main universe",
    )


def test_one_address_may_hold_all_three(tmp_path: Path) -> None:
    suites = ("noble", "noble-updates", "noble-security", "noble-backports")
    root = apt(tmp_path, main="".join(f"deb http://one.example/ubuntu/ {suite} main\n" for suite in suites))
    assert deb_lines("ubuntu", "noble", ("main",), root=root) == tuple(
        f"deb http://one.example/ubuntu {suite} main" for suite in suites[:3]
    )


def test_a_security_archive_alone_is_nothing_to_build_from(tmp_path: Path) -> None:
    root = apt(tmp_path, main="deb http://one.example/debian-security trixie-security main\n")
    assert deb_lines("debian", "trixie", ("main",), root=root) == ()


def test_keyring(tmp_path: Path) -> None:
    with pytest.raises(HostError, match="keyring is missing") as caught:
        keyring("ubuntu", folder=tmp_path)
    assert "ubuntu-keyring" in caught.value.hint
    (tmp_path / "debian-archive-keyring.pgp").touch()
    assert keyring("debian", folder=tmp_path).name == "debian-archive-keyring.pgp"
