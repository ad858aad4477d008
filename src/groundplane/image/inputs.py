"""What an image is made of, and the digest that names it. Pure but for reading the files laid into it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Final

from groundplane.spec.model import Image

TREE: Final = Path(__file__).parent / "tree"
"""Files laid over every root tree after its packages are installed, all root's and 0644."""

SCHEMA: Final = "3"
"""Raise it whenever ``customise`` changes what it does, so that cached images are built anew."""

BASE_PACKAGES: Final = (
    "ca-certificates",
    "cloud-init",
    "curl",
    "dbus",
    "iproute2",
    "iputils-ping",
    "kmod",
    "procps",
    "python3",
    "systemd",
    "systemd-sysv",
)
"""What every machine needs whatever its role: boot, first-boot configuration, our agent, a network."""


@dataclass(frozen=True, slots=True)
class BaseImage:
    """A finished image: ``path`` is its root tree, ``digest`` (hex) names everything it was made from."""

    path: Path
    digest: str


def all_packages(packages: Iterable[str]) -> tuple[str, ...]:
    """``packages`` and the base ones, each once, sorted."""
    return tuple(sorted({*packages, *BASE_PACKAGES}))


def digest(image: Image, packages: Iterable[str], *, tree: Path = TREE) -> str:
    """Name the image by what goes into it.

    Package versions are not part of it: they are the archive's at the time of building, and the finished
    image lists them in its manifest.
    """
    total = sha256()
    for word in (SCHEMA, image.distribution, image.release, image.mirror or "", *all_packages(packages)):
        total.update(word.encode() + b"\0")
    for path in tree_files(tree):
        total.update(str(path.relative_to(tree)).encode() + b"\0" + path.read_bytes() + b"\0")
    return total.hexdigest()


def tree_files(tree: Path = TREE) -> tuple[Path, ...]:
    """Every file of the overlay tree, in order."""
    return tuple(sorted(path for path in tree.rglob("*") if path.is_file()))
