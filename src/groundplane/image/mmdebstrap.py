"""mmdebstrap: its command line, and what its output says about progress. See mmdebstrap(1)."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final

from groundplane.image.inputs import COMPONENTS
from groundplane.spec.model import Image

_LEFT_OUT: Final = (
    "path-exclude=/usr/share/man/*",
    "path-exclude=/usr/share/info/*",
    "path-exclude=/usr/share/locale/*",
    "path-include=/usr/share/locale/locale.alias",
    "path-exclude=/usr/share/doc/*",
    "path-include=/usr/share/doc/*/copyright",
)
"""dpkg options: what no machine reads. Copyright files stay, as their licences ask."""


def command(
    image: Image, packages: Sequence[str], target: Path, *, keyring: Path, sources: Sequence[str]
) -> tuple[str, ...]:
    """The argv that makes the root tree ``target``, which does not exist yet, of ``packages``.

    ``sources`` are addresses of archives or whole lines of a sources.list; without any, mmdebstrap takes its own
    default, security fixes and all.
    It runs in a process namespace of its own on a leash, so that it and everything apt started end with us,
    even when we are killed: a half-built tree must not go on growing under the next builder's hands.
    """
    return (
        *("setpriv", "--pdeathsig", "KILL"),
        *("unshare", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc"),
        "mmdebstrap",
        "--mode=root",
        "--variant=minbase",
        "--format=directory",
        f"--components={','.join(COMPONENTS[image.distribution])}",
        f"--keyring={keyring}",
        f"--include={','.join(packages)}",
        '--aptopt=Acquire::Retries "3"',
        *(f"--dpkgopt={option}" for option in _LEFT_OUT),
        image.release,
        str(target),
        *sources,
    )


def said(line: str) -> str:
    """The user-facing part of an output line; empty where it says nothing worth showing."""
    text = line.strip()
    return text[3:].removesuffix("...") if text.startswith("I: ") else ""


def installed(root: Path) -> int:
    """How many packages dpkg has unpacked into ``root`` so far."""
    folder = root / "var/lib/dpkg/info"
    return sum(1 for path in folder.glob("*.list")) if folder.is_dir() else 0


def downloaded(root: Path) -> int:
    """How many package files lie in apt's cache inside ``root`` (they vanish towards the end)."""
    folder = root / "var/cache/apt/archives"
    return sum(1 for path in folder.glob("*.deb")) if folder.is_dir() else 0
