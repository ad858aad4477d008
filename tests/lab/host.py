"""What a lab could leave on the host: a picture taken before and one after must be the same."""

from __future__ import annotations

import os
import subprocess
from dataclasses import dataclass
from pathlib import Path

SETTINGS = (
    "kernel.panic",
    "kernel.panic_on_oops",
    "vm.overcommit_memory",
    "fs.inotify.max_user_instances",
    "fs.inotify.max_user_watches",
)


@dataclass(frozen=True, slots=True)
class Picture:
    """Sets of what is there, each entry a line a person can read."""

    processes: frozenset[str]
    mounts: frozenset[str]
    namespaces: frozenset[str]
    links: frozenset[str]
    cgroups: frozenset[str]
    settings: frozenset[str]
    rules: frozenset[str]

    def added_since(self, before: Picture) -> dict[str, list[str]]:
        """What is here and was not before, by kind; empty when nothing is."""
        return {
            name: sorted(new)
            for name in self.__slots__
            if (new := getattr(self, name) - getattr(before, name))
        }  # fmt: skip


def take() -> Picture:
    return Picture(
        processes=frozenset(_foreign_processes()),
        mounts=frozenset(line.split()[4] for line in Path("/proc/self/mountinfo").read_text().splitlines()),
        namespaces=frozenset(entry.name for entry in _entries(Path("/run/netns"))),
        links=frozenset(entry.name for entry in _entries(Path("/sys/class/net"))),
        cgroups=frozenset(_cgroups()),
        settings=frozenset(f"{key}={_setting(key)}" for key in SETTINGS),
        rules=frozenset(
            subprocess.run(["nft", "list", "tables"], capture_output=True, text=True, check=False).stdout.splitlines()
        ),
    )


def _foreign_processes() -> list[str]:
    """Processes that live in another network or mount namespace than ours, or forward into one."""
    own = [os.readlink(f"/proc/self/ns/{kind}") for kind in ("net", "mnt")]
    found = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            spaces = [os.readlink(entry / "ns" / kind) for kind in ("net", "mnt")]
            words = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace").strip()
        except OSError:
            continue  # it ended while we looked
        if words and (spaces != own or "groundplane.machines" in words or "systemd-nspawn" in words):
            found.append(f"{entry.name} {words[:120]}")
    return found


def _entries(folder: Path) -> list[Path]:
    return sorted(folder.iterdir()) if folder.is_dir() else []


def _cgroups() -> list[str]:
    root = Path("/sys/fs/cgroup")
    return [str(path) for path in root.rglob("groundplane*") if path.is_dir()]


def _setting(key: str) -> str:
    try:
        return Path("/proc/sys", *key.split(".")).read_text().strip()
    except OSError:
        return "unreadable"
