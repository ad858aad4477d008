"""The shipped data holds together: what images and settings name, the parts build."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from groundplane.bundle.golang import program_name
from groundplane.bundle.record import inputs_digest
from groundplane.bundle.versions import PartSpec, load_versions
from groundplane.errors import BundleError
from groundplane.software import DATA, DEFAULT_VERSION, known_versions


def outputs(part: PartSpec) -> set[str]:
    return {program_name(package) for package in part.packages} if part.builder == "go" else {part.name}


def test_newest_first() -> None:
    assert known_versions() == ("1.37.2", "1.36.3")
    assert known_versions()[0] == DEFAULT_VERSION


def test_versions_are_ordered_as_numbers(tmp_path: Path) -> None:
    for version in ("1.9.1", "1.10.0"):
        folder = tmp_path / "versions" / version
        folder.mkdir(parents=True)
        (folder / "versions.toml").touch()
    assert known_versions(tmp_path) == ("1.10.0", "1.9.1")


def test_an_unknown_version_names_the_known_ones() -> None:
    with pytest.raises(BundleError, match=r"1\.2\.3") as caught:
        load_versions("1.2.3")
    assert "1.37.2" in caught.value.hint


@pytest.mark.parametrize("version", known_versions())
def test_parts_build_what_their_images_and_programs_are_made_of(version: str) -> None:
    parts = load_versions(version).parts
    names = [part.name for part in parts]
    assert len(names) == len(set(names))
    for position, part in enumerate(parts):
        built = outputs(part)
        assert {binary.name for binary in part.binaries} <= built
        for image in part.images:
            assert {output for _, output in image.files} <= built
            assert not image.base or image.base in names[:position], "a base comes before what stands on it"
        for file in part.release_files:
            assert {name for name, _ in file.outputs} <= built
        assert {image.reference for image in part.release_images} <= {image.reference for image in part.images}


@pytest.mark.parametrize("version", known_versions())
def test_settings_name_images_the_bundle_has(version: str) -> None:
    versions = load_versions(version)
    references = {image.reference for part in versions.parts for image in part.images}
    assert references == set(versions.software.images)


@pytest.mark.parametrize("version", known_versions())
def test_modules_are_pinned_by_sums_at_the_version_the_part_says(version: str) -> None:
    for part in load_versions(version).parts:
        if part.builder != "go" or part.name == "probe":
            continue
        pinned = (part.folder / "go.mod").read_text()
        required = re.findall(r"^(?:require )?\t?(\S+) v(\S+)$", pinned, re.MULTILINE)
        roots = {path for path, found in required if found == part.version}
        sums = (part.folder / "go.sum").read_text()
        for package in part.packages:
            assert any(package == root or package.startswith(f"{root}/") for root in roots), package
        for path, found in required:
            if "replace" not in pinned or f"{path} =>" not in pinned:
                assert f"{path} v{found} " in sums or f"{path} v{found}/go.mod " in sums


def test_both_versions_share_what_did_not_change() -> None:
    new, old = (load_versions(version) for version in known_versions())
    for name in ("netbase", "containerd", "cni-plugins", "flannel", "registry", "probe", "pause"):
        assert inputs_digest(new.part(name)) == inputs_digest(old.part(name))
    assert inputs_digest(new.part("kubernetes")) != inputs_digest(old.part("kubernetes"))


def test_every_part_folder_is_used() -> None:
    used = {part.folder for version in known_versions() for part in load_versions(version).parts}
    assert {path.parent for path in DATA.rglob("part.toml")} == used
