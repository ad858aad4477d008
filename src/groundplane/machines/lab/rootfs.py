"""A machine's folder: its own layer of the root tree, its seed, its data folders."""

from __future__ import annotations

import os
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from groundplane.errors import MachineError
from groundplane.image.removal import remove_tree
from groundplane.machines.base import Blueprint, Material, Tree
from groundplane.machines.lab.command import HostTool, run
from groundplane.machines.lab.identity import identity_of, read_identity, write_identity
from groundplane.machines.lab.names import Folders, machine_id
from groundplane.machines.lab.nspawn import Bind
from groundplane.spec.roles import Role
from groundplane.state.model import DataFolder
from groundplane.store.files import private_folder, write_private
from groundplane.topology.model import Machine

SEED: Final = "var/lib/cloud/seed/nocloud"
REGISTRY: Final = "/srv/registry"
_TREES: Final = ("base", "software", "registry")
"""A machine's links to what it stands on, in the order of ``Trees``."""
LOOP_CONTROL: Final = Path("/dev/loop-control")
"""The kernel's door to loop devices. Some containers have none: data folders are the host's alone there."""


@dataclass(frozen=True, slots=True)
class Trees:
    """What a lab's machines are made of: a root tree, the software over it, what the gateway's registry serves."""

    root: Path
    software: Path
    registry: Path

    @classmethod
    def of(cls, material: Material) -> Trees:
        return cls(material.trees[Tree.ROOT], material.trees[Tree.SOFTWARE], material.trees[Tree.REGISTRY])


def make(folders: Folders, lab: str, machine: Machine, blueprint: Blueprint) -> bool:
    """Create the machine's folder with its seed where it isn't there; return whether it was made.

    A machine that exists keeps the seed it was born with: a seed counts at the first boot alone.
    One whose creation was cut short has never run, and is made anew.
    """
    if folders.made(machine.name).is_file():
        if read_identity(folders.identity(machine.name)) is None:  # an older groundplane wrote none
            write_identity(folders.identity(machine.name), identity_of(machine))
        return False
    folder = folders.machine(machine.name)
    remove_tree(folder)
    remove_tree(folders.data / machine.name)
    private_folder(folder)
    write_identity(folders.identity(machine.name), identity_of(machine))
    for name in ("upper", "work", "rootfs"):
        _folder(folder / name, 0o755)
    upper = folder / "upper"
    _folder(upper / "etc", 0o755)
    (upper / "etc/machine-id").write_text(machine_id(lab, machine.name) + "\n", encoding="ascii")
    (upper / "etc/machine-id").chmod(0o444)
    _seed(upper, blueprint)
    write_private(folders.made(machine.name), blueprint.seed.digest.encode() + b"\n")
    return True


def stand_on(folders: Folders, machine: str, trees: Trees, layer: Path) -> None:
    """Point the machine at what it stands on, to be followed at its next start: the root tree of its first one, and of
    ``trees`` all else. Short names: mount(8) reads them as options, where a colon or a comma in a longer path would end
    one."""
    folder = folders.machine(machine)
    root = _born_on(folder / "base", trees.root.resolve(), machine)
    for name, target in zip((*_TREES, "layer"), (root, trees.software, trees.registry, layer), strict=True):
        link = folder / name
        fresh = folder / f".{name}"
        fresh.unlink(missing_ok=True)
        fresh.symlink_to(target.resolve())
        fresh.replace(link)


def stood_on(folders: Folders, machine: str) -> Trees | None:
    """What the machine stood on when it was last started; None where it never was, or some of it is gone."""
    links = [folders.machine(machine) / name for name in _TREES]
    return Trees(*(link.resolve() for link in links)) if all(link.is_dir() for link in links) else None


def _born_on(link: Path, current: Path, machine: str) -> Path:
    """The root tree a machine stands on as long as it lives, for its own layer was written over that one: what its link
    has said since its first start, and ``current`` before. MachineError where it is gone."""
    if not link.is_symlink():
        return current
    born = link.readlink()
    moved = current.parent.with_name(born.parent.name) / born.name  # the cache may be elsewhere now
    for tree in (born, moved):
        if tree.is_dir():
            return tree
    raise MachineError(
        "the base image it was made from is gone from the cache",
        where=machine,
        hint=f"make it anew with `groundplane replace {machine}`; to have it back with its data, write the `image` it "
        "was made with into the cluster file and run `groundplane apply`",
        detail=str(born),
    )


async def binds(
    folders: Folders, machine: Machine, wanted: tuple[DataFolder, ...], trees: Trees, *, runner: HostTool = run
) -> tuple[Bind, ...]:
    """What of this computer appears in the machine; its data folders are made where they are missing."""
    found = []
    for data in sorted(wanted, key=lambda folder: folder.path):
        source = folders.data_folder(machine.name, data.path)
        if not source.is_dir():
            private_folder(folders.data)
            # Before the folder: were this cut short, the disk would be made anew.
            if data.enough is not None and LOOP_CONTROL.exists():
                image = _disk(folders.machine(machine.name), source, data.enough)
                await runner(("mkfs.ext4", "-q", "-m", "0", str(image)))
            source.mkdir(parents=True)
            source.chmod(data.mode)
        found.append(Bind(source, data.path))
    if machine.has(Role.GATEWAY):
        found.append(Bind(trees.registry.resolve(), REGISTRY, read_only=True))
    return tuple(found)


def _disk(folder: Path, mounted_on: Path, size: int) -> Path:
    """Make a disk that is mounted on a data folder whenever the machine starts (nspawn.py): a file full of holes, which
    is returned and has no file system yet."""
    disk = folder / "disks" / mounted_on.name
    remove_tree(disk)
    disk.mkdir(parents=True)
    (disk / "folder").symlink_to(mounted_on.resolve())
    with (disk / "image").open("xb") as image:
        image.truncate(size)
    return disk / "image"


def remove(folders: Folders, machine: str) -> None:
    """Remove the machine's folder and its data."""
    # The marker first: a removal cut short must not leave something that looks like a whole machine.
    with suppress(FileNotFoundError, NotADirectoryError):
        folders.made(machine).unlink()
    remove_tree(folders.machine(machine))
    remove_tree(folders.data / machine)


def _seed(upper: Path, blueprint: Blueprint) -> None:
    folder = upper
    for part in Path(SEED).parts:
        folder = folder / part
        _folder(folder, 0o700 if part == "nocloud" else 0o755)
    for name, content in (
        ("meta-data", blueprint.seed.meta_data),
        ("user-data", blueprint.seed.user_data),
        ("network-config", blueprint.seed.network_config),
    ):
        write_private(folder / name, content)


def _folder(path: Path, mode: int) -> None:
    """In an overlay the upper folder's mode and owner win, so they are set whatever the umask."""
    path.mkdir(exist_ok=True)
    path.chmod(mode)
    os.chown(path, 0, 0)
