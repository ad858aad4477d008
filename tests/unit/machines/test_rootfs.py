from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from groundplane.cloudinit.seed import Seed
from groundplane.errors import MachineError
from groundplane.machines.base import Blueprint
from groundplane.machines.lab import rootfs
from groundplane.machines.lab.names import Folders, machine_id
from groundplane.state.model import DataFolder, MachineState
from groundplane.topology.model import Topology

BLUEPRINT = Blueprint(MachineState("cp1"), Seed(b"meta", b"user", b"net"))


@pytest.fixture
def folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Folders:
    monkeypatch.setattr(os, "chown", lambda *_: None)  # tests run as anybody
    tmp_path.chmod(0o700)
    return Folders(tmp_path)


def make(folders: Folders, topology: Topology) -> bool:
    return rootfs.make(folders, "demo", topology.machine("cp1"), BLUEPRINT)


def test_a_new_machine_has_its_seed_and_identity(folders: Folders, make_topology: Callable[..., Topology]) -> None:
    assert make(folders, make_topology())
    upper = folders.machine("cp1") / "upper"
    seed = upper / rootfs.SEED
    assert {path.name: path.read_bytes() for path in seed.iterdir()} == {
        "meta-data": b"meta",
        "user-data": b"user",
        "network-config": b"net",
    }
    assert {path.stat().st_mode & 0o777 for path in seed.iterdir()} == {0o600}
    assert seed.stat().st_mode & 0o777 == 0o700
    assert (upper / "var/lib").stat().st_mode & 0o777 == 0o755
    assert (upper / "etc/machine-id").read_text() == machine_id("demo", "cp1") + "\n"


def test_an_existing_machine_keeps_what_it_was_born_with(
    folders: Folders, make_topology: Callable[..., Topology]
) -> None:
    make(folders, make_topology())
    other = Blueprint(MachineState("cp1"), Seed(b"meta2", b"user", b"net"))
    assert not rootfs.make(folders, "demo", make_topology().machine("cp1"), other)
    assert (folders.machine("cp1") / "upper" / rootfs.SEED / "meta-data").read_bytes() == b"meta"


def test_a_creation_cut_short_begins_anew(folders: Folders, make_topology: Callable[..., Topology]) -> None:
    make(folders, make_topology())
    folders.made("cp1").unlink()
    stray = folders.machine("cp1") / "upper/etc/stray"
    stray.touch()
    assert make(folders, make_topology())
    assert not stray.exists()


def tree(cache: Path, generation: str) -> Path:
    """A root tree as the cache keeps it."""
    root = cache / "image" / generation / "root"
    root.mkdir(parents=True)
    return root


def stands_on(folders: Folders, root: Path) -> tuple[Path, Path]:
    """The root tree and the software that ``cp1`` starts from, where ``root`` is the current one."""
    rootfs.stand_on(folders, "cp1", rootfs.Trees(root, root / "software", root), root)
    return (folders.machine("cp1") / "base").readlink(), (folders.machine("cp1") / "software").readlink()


def test_it_stands_on_the_root_tree_of_its_birth_and_on_the_software_of_its_next_start(
    folders: Folders, make_topology: Callable[..., Topology], tmp_path: Path
) -> None:
    make(folders, make_topology())
    one, two = tree(tmp_path, "one"), tree(tmp_path, "two")
    assert stands_on(folders, one) == (one, one / "software")
    assert not make(folders, make_topology())
    assert stands_on(folders, two) == (one, two / "software")
    rootfs.remove(folders, "cp1")
    make(folders, make_topology())
    assert stands_on(folders, two) == (two, two / "software")


def test_what_it_stood_on_is_known_as_long_as_all_of_it_is_there(
    folders: Folders, make_topology: Callable[..., Topology], tmp_path: Path
) -> None:
    make(folders, make_topology())
    assert rootfs.stood_on(folders, "cp1") is None
    root = tree(tmp_path, "one")
    trees = rootfs.Trees(root, tmp_path / "software", tmp_path / "registry")
    trees.software.mkdir()
    rootfs.stand_on(folders, "cp1", trees, tmp_path)
    assert rootfs.stood_on(folders, "cp1") is None
    trees.registry.mkdir()
    assert rootfs.stood_on(folders, "cp1") == trees
    rootfs.stand_on(folders, "cp1", trees, tmp_path)
    assert rootfs.stood_on(folders, "cp1") == trees
    root.rmdir()
    assert rootfs.stood_on(folders, "cp1") is None


def test_its_root_tree_is_found_where_the_cache_has_moved_to(
    folders: Folders, make_topology: Callable[..., Topology], tmp_path: Path
) -> None:
    make(folders, make_topology())
    stands_on(folders, tree(tmp_path / "old", "one"))
    (tmp_path / "old").rename(tmp_path / "new")
    assert stands_on(folders, tree(tmp_path / "new", "two"))[0] == tmp_path / "new/image/one/root"


def test_a_root_tree_that_is_gone_is_replaced_by_no_other(
    folders: Folders, make_topology: Callable[..., Topology], tmp_path: Path
) -> None:
    make(folders, make_topology())
    one, two = tree(tmp_path, "one"), tree(tmp_path, "two")
    stands_on(folders, one)
    one.rmdir()
    with pytest.raises(MachineError, match="gone from the cache") as caught:
        stands_on(folders, two)
    assert caught.value.where == "cp1"
    assert "groundplane replace cp1" in caught.value.hint
    assert "`image`" in caught.value.hint
    tree(tmp_path / "again", "one").rename(one)
    assert stands_on(folders, two)[0] == one


def test_data_folders_lie_on_the_host_and_the_registry_is_the_gateways(
    folders: Folders, make_topology: Callable[..., Topology], tmp_path: Path
) -> None:
    topology, trees = make_topology(), rootfs.Trees(tmp_path, tmp_path, tmp_path / "registry")
    wanted = (DataFolder("/var/lib/kubelet"), DataFolder("/var/lib/etcd", 0o700))
    found = asyncio.run(rootfs.binds(folders, topology.machine("cp1"), wanted, trees))
    assert [bind.target for bind in found] == ["/var/lib/etcd", "/var/lib/kubelet"]
    assert found[0].source == tmp_path / "lab/data/cp1/var/lib/etcd"
    assert found[0].source.stat().st_mode & 0o777 == 0o700
    gateway = asyncio.run(rootfs.binds(folders, topology.gateway, (), trees))
    assert [(bind.target, bind.read_only) for bind in gateway] == [("/srv/registry", True)]


def test_a_folder_for_which_so_much_is_enough_gets_a_disk_of_that_size(
    folders: Folders, make_topology: Callable[..., Topology], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rootfs, "LOOP_CONTROL", tmp_path)
    made: list[Sequence[str]] = []

    async def runner(argv: Sequence[str], *, stdin: str = "") -> str:
        made.append(argv)
        return stdin

    make(folders, make_topology())
    wanted = (DataFolder("/var/lib/etcd", 0o700, enough=64 << 20), DataFolder("/var/lib/kubelet"))
    for _ in range(2):  # what is on a disk stays there
        trees = rootfs.Trees(tmp_path, tmp_path, tmp_path)
        asyncio.run(rootfs.binds(folders, make_topology().machine("cp1"), wanted, trees, runner=runner))
    (disk,) = (folders.machine("cp1") / "disks").iterdir()
    assert (disk / "image").stat().st_size == 64 << 20
    assert [(argv[0], argv[-1]) for argv in made] == [("mkfs.ext4", str(disk / "image"))]
    assert (disk / "folder").resolve() == folders.data_folder("cp1", "/var/lib/etcd").resolve()


def test_without_loop_devices_a_data_folder_is_the_hosts(
    folders: Folders, make_topology: Callable[..., Topology], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rootfs, "LOOP_CONTROL", tmp_path / "none")
    make(folders, make_topology())
    wanted = (DataFolder("/var/lib/etcd", enough=64 << 20),)
    trees = rootfs.Trees(tmp_path, tmp_path, tmp_path)
    asyncio.run(rootfs.binds(folders, make_topology().machine("cp1"), wanted, trees))
    assert not (folders.machine("cp1") / "disks").exists()


def test_a_removed_machine_leaves_nothing(
    folders: Folders, make_topology: Callable[..., Topology], tmp_path: Path
) -> None:
    make(folders, make_topology())
    trees = rootfs.Trees(tmp_path, tmp_path, tmp_path)
    asyncio.run(rootfs.binds(folders, make_topology().machine("cp1"), (DataFolder("/var/lib/etcd"),), trees))
    rootfs.remove(folders, "cp1")
    rootfs.remove(folders, "cp1")
    (folders.machines / "stray").write_text("not a folder")
    rootfs.remove(folders, "stray")
    assert not (folders.machines / "stray").exists()
    assert not folders.machine("cp1").exists()
    assert not (folders.data / "cp1").exists()
