from __future__ import annotations

from pathlib import Path

from groundplane.image import mmdebstrap
from groundplane.spec.model import Image


def argv(image: Image) -> tuple[str, ...]:
    return mmdebstrap.command(
        image,
        ("chrony", "systemd"),
        Path("/cache/root"),
        keyring=Path("/keys/k.gpg"),
        sources=["deb file:///m x main", "deb file:///m x-security main"],
    )


def test_the_command_line_names_release_target_and_sources_last() -> None:
    assert argv(Image(release="bookworm"))[-4:] == (
        "bookworm",
        "/cache/root",
        "deb file:///m x main",
        "deb file:///m x-security main",
    )


def test_packages_and_keyring_are_given() -> None:
    words = argv(Image())
    assert "--include=chrony,systemd" in words
    assert "--keyring=/keys/k.gpg" in words
    assert "--components=main" in words


def test_ubuntu_takes_universe_too() -> None:
    assert "--components=main,universe" in argv(Image(distribution="ubuntu", release="noble"))


def test_it_dies_with_us() -> None:
    words = argv(Image())
    assert words[:3] == ("setpriv", "--pdeathsig", "KILL")
    assert words.index("--kill-child") < words.index("mmdebstrap")


def test_only_its_own_information_is_shown() -> None:
    assert mmdebstrap.said("I: installing essential packages...\n") == "installing essential packages"
    assert mmdebstrap.said("Setting up libc6 ...") == ""


def test_progress_counts_what_is_on_disk(tmp_path: Path) -> None:
    assert (mmdebstrap.installed(tmp_path), mmdebstrap.downloaded(tmp_path)) == (0, 0)
    info, archives = tmp_path / "var/lib/dpkg/info", tmp_path / "var/cache/apt/archives"
    info.mkdir(parents=True)
    archives.mkdir(parents=True)
    for name in ("a.list", "a.postinst", "b.list"):
        (info / name).touch()
    (archives / "a.deb").touch()
    assert (mmdebstrap.installed(tmp_path), mmdebstrap.downloaded(tmp_path)) == (2, 1)
