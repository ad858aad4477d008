"""What a lab could leave on the host: a picture taken before and one after must be the same."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from dataclasses import dataclass, fields
from pathlib import Path

from groundplane.machines.lab.kernel import SETTINGS, SHARED
from tests.lab import cgroups

RUN = (SHARED, Path("/run/systemd/nspawn"))
LOCKS = {"lock", "locks"}
"""Empty files that say nothing by being there: who takes a lock doesn't remove it."""


@dataclass(frozen=True, slots=True)
class Picture:
    """Sets of what is there, each entry a line a person can read."""

    processes: frozenset[str]
    mounts: frozenset[str]
    namespaces: frozenset[str]
    links: frozenset[str]
    addresses: frozenset[str]
    routes: frozenset[str]
    cgroups: frozenset[str]
    settings: frozenset[str]
    rules: frozenset[str]
    kept: frozenset[str]

    def changed_since(self, before: Picture) -> dict[str, list[str]]:
        """What is here and was not before (``+``), and what was and is no more (``-``), by kind; empty when the two
        are the same. Processes of others come to their ends meanwhile, so of those only new ones count."""
        found = {}
        for kind in (field.name for field in fields(self)):
            new, old = getattr(self, kind), getattr(before, kind)
            gone = set() if kind == "processes" else old - new
            if lines := [*(f"+ {line}" for line in sorted(new - old)), *(f"- {line}" for line in sorted(gone))]:
                found[kind] = lines
        return found


def take() -> Picture:
    return Picture(
        processes=frozenset(_foreign_processes()),
        # /run/netns stays a mount of its own, as ip-netns(8) leaves it too.
        mounts=frozenset(line.split()[4] for line in Path("/proc/self/mountinfo").read_text().splitlines())
        - {"/run/netns"},
        namespaces=frozenset(entry.name for entry in _entries(Path("/run/netns"))),
        links=frozenset(entry.name for entry in _entries(Path("/sys/class/net"))),
        addresses=frozenset(_said("ip", "-brief", "address")),
        routes=frozenset(
            re.sub(r" expires \d+sec", "", line)
            for family in ("-4", "-6")
            for what in (("route", "show", "table", "all"), ("rule", "show"))
            for line in _said("ip", family, *what)
        ),
        cgroups=frozenset(cgroups.named("groundplane")),
        settings=frozenset(f"{setting.key}={_read(Path('/', setting.path))}" for setting in SETTINGS),
        rules=frozenset([*_said("nft", "--stateless", "list", "ruleset"), *_said("iptables-save")]),
        kept=frozenset(_kept()),
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


def _said(program: str, *arguments: str) -> list[str]:
    """What a program of the host prints, but for its comments; nothing where the host has no such program."""
    if shutil.which(program) is None:
        return []
    said = subprocess.run([program, *arguments], capture_output=True, text=True, check=False).stdout
    return [re.sub(r"\[\d+:\d+\]", "", line).rstrip() for line in said.splitlines() if not line.startswith("#")]


def _kept() -> list[str]:
    """What lies in the folders of /run that labs write to, with what the files hold."""
    return [
        f"{path} {_read(path) if path.is_file() else ''}".rstrip()
        for folder in RUN
        for path in sorted(folder.rglob("*"))
        if not LOCKS & {path.name, path.parent.name} and not (path.parent in RUN and path.is_dir())
    ]


def _entries(folder: Path) -> list[Path]:
    return sorted(folder.iterdir()) if folder.is_dir() else []


def _read(path: Path) -> str:
    try:
        return path.read_text().strip()
    except OSError:
        return "unreadable"
