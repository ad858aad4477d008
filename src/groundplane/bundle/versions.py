"""Versions are data: which parts, images and licences make up one Kubernetes version.

``versions/<kubernetes>/versions.toml`` names the part folders that belong together, each holding a
``part.toml`` beside its inputs (go.mod, go.sum, own sources). Parts that several versions share live in
``modules/``. Adding a version is adding data; no code knows a version number besides ``software.DEFAULT_VERSION``.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, cast

from groundplane.software import DATA, Software, software_of

Builder = Literal["go", "c", "debian"]


@dataclass(frozen=True, slots=True)
class BinarySpec:
    """A program for the machines themselves: the build's output ``name`` goes to the absolute ``path``."""

    name: str
    path: str


@dataclass(frozen=True, slots=True)
class ImageSpec:
    """A container image: ``files`` are (absolute path, build output); ``base`` names a part whose layer is below."""

    reference: str
    files: tuple[tuple[str, str], ...]
    base: str = ""
    entrypoint: tuple[str, ...] = ()
    user: str = ""


@dataclass(frozen=True, slots=True)
class ReleaseFile:
    """An official download: ``checksum`` is the address of its published sha256.

    ``outputs`` are (build output, member): the member of the archive, or "" when the download is the program.
    """

    url: str
    checksum: str
    outputs: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class ReleaseImage:
    """An official image: pulled from ``upstream``, kept under our ``reference``."""

    reference: str
    upstream: str


@dataclass(frozen=True, slots=True)
class PartSpec:
    """One part of the bundle and how each source comes by it. ``folder`` holds its inputs."""

    name: str
    version: str
    licence: str
    folder: Path
    builder: Builder
    cgo: bool = False
    packages: tuple[str, ...] = ()
    ldflags: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()
    suite: str = ""
    include: tuple[str, ...] = ()
    binaries: tuple[BinarySpec, ...] = ()
    images: tuple[ImageSpec, ...] = ()
    release_files: tuple[ReleaseFile, ...] = ()
    release_images: tuple[ReleaseImage, ...] = ()

    @property
    def base(self) -> str:
        """The part whose layer some of this part's images stand on, "" for none."""
        return next((image.base for image in self.images if image.base), "")

    @property
    def is_base(self) -> bool:
        """Whether the part is nothing but a layer for others."""
        return self.builder == "debian"


@dataclass(frozen=True, slots=True)
class Versions:
    """Everything one Kubernetes version is made of, in build order."""

    software: Software
    parts: tuple[PartSpec, ...]

    @property
    def kubernetes(self) -> str:
        """The version, as ``1.37.2``."""
        return self.software.kubernetes

    def part(self, name: str) -> PartSpec:
        """The part called ``name``; KeyError if there's none, which would be a fault in the data."""
        return next(part for part in self.parts if part.name == name)


def load_versions(version: str, data: Path = DATA) -> Versions:
    """Read the data of one Kubernetes version; raises BundleError for an unknown one."""
    software = software_of(version, data)
    folders = _read(data / "versions" / version / "versions.toml")["parts"]
    return Versions(software, tuple(load_part(data / folder) for folder in folders))


def _read(path: Path) -> dict[str, Any]:
    with path.open("rb") as file:
        return tomllib.load(file)


def load_part(folder: Path) -> PartSpec:
    """Read the ``part.toml`` of one part's folder."""
    raw = _read(folder / "part.toml")
    release: Mapping[str, Any] = raw.get("release", {})
    return PartSpec(
        name=raw["name"],
        version=raw["version"],
        licence=raw["licence"],
        folder=folder,
        builder=cast(Builder, raw["builder"]),
        cgo=raw.get("cgo", False),
        packages=tuple(raw.get("packages", ())),
        ldflags=tuple(raw.get("ldflags", ())),
        tags=tuple(raw.get("tags", ())),
        suite=raw.get("suite", ""),
        include=tuple(raw.get("include", ())),
        binaries=tuple(BinarySpec(name=Path(path).name, path=path) for path in raw.get("binaries", ())),
        images=tuple(_image(image) for image in raw.get("image", ())),
        release_files=tuple(_release_file(file) for file in release.get("file", ())),
        release_images=tuple(
            ReleaseImage(image["reference"], image.get("upstream", image["reference"]))
            for image in release.get("image", ())
        ),
    )


def _image(raw: Mapping[str, Any]) -> ImageSpec:
    return ImageSpec(
        reference=raw["reference"],
        files=tuple(sorted(raw["files"].items())),
        base=raw.get("base", ""),
        entrypoint=tuple(raw.get("entrypoint", ())),
        user=raw.get("user", ""),
    )


def _release_file(raw: Mapping[str, Any]) -> ReleaseFile:
    return ReleaseFile(raw["url"], raw["checksum"], tuple(sorted(raw["outputs"].items())))
