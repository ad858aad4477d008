"""Turns a fresh Debian or Ubuntu tree into a machine's: nothing personal in it, nothing that starts by itself."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path
from typing import Final

from groundplane.errors import ImageError
from groundplane.image.inputs import TREE, tree_files

_PERSONAL: Final = (
    "etc/hostname",
    "etc/ssh/ssh_host_*",
    "var/lib/dbus/machine-id",
    "var/lib/systemd/random-seed",
    "var/cache/ldconfig/aux-cache",
    "var/log/*.log",
    "var/log/apt/*",
)
"""What installing left behind that belongs to one machine (or to this host) and must not be shared."""

_EMPTY: Final = ("etc/machine-id", "etc/resolv.conf")
"""Present but empty. An empty machine-id is filled at boot without counting as a first boot, machine-id(5)."""

_UP_TO_DATE: Final = ("etc/.updated", "var/.updated")
"""Newer than /usr, so that ConditionNeedsUpdate= units (ldconfig, hwdb, catalogue) have nothing to do."""


def customise(root: Path, *, tree: Path = TREE) -> None:
    """Lay our files over ``root``, make it nobody's, and apply the presets. Runs systemctl inside the tree."""
    lay_files(root, tree)
    depersonalise(root)
    _inside(root, "systemctl", "preset-all")
    _silence_old_scripts(root)
    for name in _UP_TO_DATE:
        (root / name).touch()
        os.utime(root / name, ns=(os.stat(root / "usr").st_mtime_ns,) * 2)


def lay_files(root: Path, tree: Path = TREE) -> None:
    """Copy every file of ``tree`` to its place, 0644, whoever owns the source."""
    for source in tree_files(tree):
        target = root / source.relative_to(tree)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.unlink(missing_ok=True)
        shutil.copyfile(source, target)
        target.chmod(0o644)


def depersonalise(root: Path) -> None:
    """Remove or empty what would make two machines the same machine."""
    for pattern in _PERSONAL:
        for path in sorted(root.glob(pattern)):
            path.unlink()
    for name in _EMPTY:
        (root / name).unlink(missing_ok=True)
        (root / name).touch(mode=0o644)


def manifest(root: Path) -> str:
    """Every package in the tree with its version, one per line."""
    return _inside(root, "dpkg-query", "--show", "--showformat=${Package} ${Version} ${Architecture}\\n")


def _silence_old_scripts(root: Path) -> None:
    """Presets don't reach System V scripts. One beside a unit of its name goes, with its links: for each such unit
    ``systemctl enable`` would call three programs more. Others stay, but their start links become stop links.
    """
    for script in sorted(root.glob("etc/init.d/*")):
        if (root / "usr/lib/systemd/system" / f"{script.name}.service").exists():
            script.unlink()
            for link in sorted(root.glob(f"etc/rc[0-6S].d/[SK][0-9][0-9]{script.name}")):
                link.unlink()
    for link in sorted(root.glob("etc/rc[0-6S].d/S*")):
        link.rename(link.with_name(f"K{link.name[1:]}"))


def _inside(root: Path, *argv: str) -> str:
    environment = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C.UTF-8", "SYSTEMD_OFFLINE": "1"}
    done = subprocess.run(
        ["/usr/sbin/chroot", str(root), *argv], env=environment, capture_output=True, text=True, check=False
    )
    if done.returncode != 0:
        raise ImageError(
            f"{argv[0]} failed in the new tree with status {done.returncode}", where=str(root), detail=done.stderr
        )
    return done.stdout
