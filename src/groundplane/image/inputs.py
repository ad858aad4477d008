"""What an image is made of, and the digest that names it. Pure but for reading the files laid into it."""

from __future__ import annotations

import platform
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Final

from groundplane.bundle.apt import APT_ROOT, deb_lines
from groundplane.spec.model import Image

COMPONENTS: Final[Mapping[str, tuple[str, ...]]] = {"debian": ("main",), "ubuntu": ("main", "universe")}
"""Archive components: Ubuntu keeps most of what a platform needs in universe."""

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


def sources(image: Image, *, root: Path = APT_ROOT) -> tuple[str, ...]:
    """Where packages come from: the file's mirror and nothing else, or what this machine's apt uses."""
    if image.mirror:
        return (image.mirror,)
    return deb_lines(image.distribution, image.release, COMPONENTS[image.distribution], root=root)


def digest(
    image: Image,
    packages: Iterable[str],
    origins: Sequence[str],
    *,
    architecture: str = platform.machine(),
    tree: Path = TREE,
) -> str:
    """Name the image by what goes into it. ``origins``: what ``sources`` found.

    Package versions are not part of it: they are the archive's at the time of building, and the finished
    image lists them in its manifest.
    """
    total = sha256()
    # A line of an archive never looks like a package's name, so the lists need nothing between them.
    for word in (SCHEMA, architecture, image.distribution, image.release, *origins, *all_packages(packages)):
        total.update(word.encode() + b"\0")
    for path in tree_files(tree):
        total.update(str(path.relative_to(tree)).encode() + b"\0" + path.read_bytes() + b"\0")
    return total.hexdigest()


def tree_files(tree: Path = TREE) -> tuple[Path, ...]:
    """Every file of the overlay tree, in order."""
    return tuple(sorted(path for path in tree.rglob("*") if path.is_file()))
