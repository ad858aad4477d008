"""Logical volumes: made, and grown while they are mounted. Never shrunk, and never removed."""

from __future__ import annotations

import json
from collections.abc import Iterable

from groundplane.agent.error import AgentError
from groundplane.agent.machine import LocalMachine
from groundplane.agent.observed import VolumeSeen
from groundplane.agent.runner import NOT_FOUND, Ran
from groundplane.state.model import Volume

_LONGEST = 600.0


def seen(machine: LocalMachine, wanted: Iterable[Volume]) -> dict[str, VolumeSeen]:
    """The machine's logical volumes by ``group/name``, with the file systems of those wanted."""
    argv = ("lvs", "--reportformat", "json", "--units", "b", "--nosuffix", "--options", "vg_name,lv_name,lv_size")
    ran = machine.runner.run(argv)
    if ran.status == NOT_FOUND:
        raise AgentError("there is no LVM on the machine", hint="install the package lvm2")
    if ran.status != 0:
        raise AgentError("the logical volumes can't be listed", detail=ran.words)
    try:
        rows = json.loads(ran.stdout)["report"][0]["lv"]
        sizes = {f"{row['vg_name']}/{row['lv_name']}": int(row["lv_size"]) for row in rows}
    except (ValueError, KeyError, IndexError, TypeError) as error:
        raise AgentError("lvs answers what can't be read", detail=ran.words) from error
    devices = {f"{volume.group}/{volume.name}": volume.device for volume in wanted}
    return {
        name: VolumeSeen(size, _filesystem(machine, devices[name]) if name in devices else "")
        for name, size in sizes.items()
    }


def _filesystem(machine: LocalMachine, device: str) -> str:
    """The file system on ``device``, empty for none. blkid(8) ends with 2 when it finds nothing."""
    ran = machine.runner.run(("blkid", "--probe", "--match-tag", "TYPE", "--output", "value", device))
    if ran.status not in (0, 2):
        raise AgentError(f"what {device} holds can't be found out", detail=ran.words)
    return ran.stdout.strip()


def make(machine: LocalMachine, volume: Volume) -> None:
    """The volume, then its file system. ``--wipesignatures n``: what lies on its place is found by ``blkid`` first."""
    size = f"{volume.size_bytes}b"
    argv = ("lvcreate", "--yes", "--wipesignatures", "n", "--size", size, "--name", volume.name, volume.group)
    _demand(machine, argv, f"{volume.group}/{volume.name} can't be made")
    fill(machine, volume)


def fill(machine: LocalMachine, volume: Volume) -> None:
    """Make its file system, unless something lies on it: mkfs then refuses, and so do we."""
    if found := _filesystem(machine, volume.device):
        raise AgentError(
            f"{volume.device} already holds {found}",
            hint=f"if nobody needs it: wipefs --all {volume.device} on the machine, then this again",
        )
    _demand(machine, (f"mkfs.{volume.filesystem}", volume.device), f"{volume.device} got no file system")


def grow(machine: LocalMachine, volume: Volume) -> None:
    """The volume, then its file system, which stays mounted; xfs grows nowhere else (xfs_growfs(8))."""
    argv = ("lvextend", "--size", f"{volume.size_bytes}b", f"{volume.group}/{volume.name}")
    _demand(machine, argv, f"{volume.group}/{volume.name} can't be grown")
    if volume.filesystem == "xfs":
        if volume.path is None:
            raise AgentError(f"{volume.device} isn't mounted by us, and xfs grows only mounted", hint="use ext4 there")
        _demand(machine, ("xfs_growfs", volume.path), f"the file system of {volume.device} can't be grown")
    else:
        _demand(machine, ("resize2fs", volume.device), f"the file system of {volume.device} can't be grown")


def _demand(machine: LocalMachine, argv: tuple[str, ...], what: str) -> Ran:
    ran = machine.runner.run(argv, timeout=_LONGEST)
    if ran.status == 0:
        return ran
    short = "insufficient free" in (ran.stderr + ran.stdout).lower()
    hint = "give its volume group another disk (pvcreate, vgextend), then this again" if short else ""
    raise AgentError(what, hint=hint, detail=ran.words)
