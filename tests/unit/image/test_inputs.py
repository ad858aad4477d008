from __future__ import annotations

from pathlib import Path

from groundplane.image.inputs import BASE_PACKAGES, TREE, all_packages, digest, sources, tree_files
from groundplane.spec.model import Image

LINES = ("deb http://one.example/debian trixie main", "deb http://two.example/debian trixie-security main")


def test_order_and_repetition_of_packages_do_not_change_the_image() -> None:
    image = Image()
    assert digest(image, ("haproxy", "chrony"), LINES) == digest(
        image, ("chrony", "haproxy", "chrony", "systemd"), LINES
    )


def test_everything_that_goes_in_changes_the_digest(tmp_path: Path) -> None:
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc/a").write_text("one")

    def named(
        image: Image, packages: tuple[str, ...] = ("haproxy",), lines: tuple[str, ...] = LINES, machine: str = "x86_64"
    ) -> str:
        return digest(image, packages, lines, architecture=machine, tree=tmp_path)

    first = named(Image())
    others = [
        named(Image(release="bookworm")),
        named(Image(distribution="ubuntu")),
        named(Image(), lines=LINES[:1]),
        named(Image(), machine="aarch64"),
        named(Image(), ("haproxy", "chrony")),
    ]
    (tmp_path / "etc/a").write_text("two")
    others.append(named(Image()))
    (tmp_path / "etc/a").rename(tmp_path / "etc/b")
    others.append(named(Image()))
    assert len({first, *others}) == len(others) + 1


def test_a_mirror_in_the_file_is_all_that_is_asked(tmp_path: Path) -> None:
    (tmp_path / "sources.list").write_text("".join(f"{line}\n" for line in LINES))
    assert sources(Image(), root=tmp_path) == LINES
    assert sources(Image(mirror="file:///srv/mirror"), root=tmp_path) == ("file:///srv/mirror",)
    assert sources(Image(distribution="ubuntu", release="noble"), root=tmp_path) == ()


def test_every_machine_gets_the_base_packages() -> None:
    assert set(BASE_PACKAGES) < set(all_packages(("haproxy",)))
    assert list(all_packages(("haproxy",))) == sorted(all_packages(("haproxy",)))


def test_the_overlaid_tree_is_exactly_this() -> None:
    assert [str(path.relative_to(TREE)) for path in tree_files()] == [
        "etc/apt/apt.conf.d/90groundplane",
        "etc/cloud/cloud.cfg.d/90-groundplane.cfg",
        "etc/cloud/ds-identify.cfg",
        "etc/default/locale",
        "etc/locale.conf",
        "etc/systemd/journald.conf.d/10-groundplane.conf",
        "etc/systemd/system/groundplane-first-boot.service",
        "etc/systemd/system-preset/00-groundplane.preset",
    ]


def test_the_presets_end_with_disabling_everything_else() -> None:
    lines = [
        line
        for line in (TREE / "etc/systemd/system-preset/00-groundplane.preset").read_text().splitlines()
        if line and not line.startswith("#")
    ]
    assert lines[-1] == "disable *"
    assert all(line.startswith("enable ") for line in lines[:-1])
    assert not any(name in line for line in lines for name in ("haproxy", "corosync", "ssh", "getty"))
