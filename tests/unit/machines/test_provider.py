"""What a provider refuses, before it touches anything."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Coroutine
from ipaddress import IPv4Address
from pathlib import Path

import pytest

from groundplane.cloudinit.seed import Seed
from groundplane.errors import MachineError
from groundplane.events import silent
from groundplane.machines.base import Blueprint, Identity, MachineStatus, Power
from groundplane.machines.lab import guest, kernel, provider, rootfs
from groundplane.machines.lab.cgroups import detect
from groundplane.machines.lab.containers import Containers
from groundplane.machines.lab.identity import write_identity
from groundplane.machines.lab.names import Folders
from groundplane.machines.lab.network import LabNetwork
from groundplane.machines.lab.nspawn import Container
from groundplane.machines.lab.provider import LabProvider
from groundplane.spec.roles import Role
from groundplane.state.model import MachineState
from groundplane.topology.model import Topology


@pytest.fixture
def lab(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    make_topology: Callable[..., Topology],
    make_host: Callable[..., Path],
) -> LabProvider:
    """A lab of state folder ``b``, on a host where ``a`` holds its name."""
    host = make_host(2)
    monkeypatch.setattr(provider, "detect", lambda: detect(host))
    (tmp_path / "a/lab").mkdir(parents=True)
    (tmp_path / "b/lab/machines/cp1").mkdir(parents=True)
    monkeypatch.setattr(kernel, "holder", lambda name, state: tmp_path / "a" if state != tmp_path / "a" else None)
    return LabProvider(make_topology(), None, tmp_path / "b", silent)


def test_anothers_machines_are_neither_stopped_nor_removed_nor_entered(lab: LabProvider) -> None:
    for refused in (lambda: lab.stop("cp1"), lambda: lab.remove("cp1"), lambda: lab.transport.run("cp1", ("true",))):
        with pytest.raises(MachineError, match="another platform"):
            asyncio.run(refused())


def test_removing_a_lab_whose_name_is_anothers_removes_its_own_folder_only(
    lab: LabProvider, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    killed: list[str] = []
    monkeypatch.setattr(Containers, "kill", lambda _, machine: killed.append(machine))
    asyncio.run(lab.destroy())
    assert killed == []
    assert (tmp_path / "a/lab").is_dir()
    assert not (tmp_path / "b/lab").exists()


@pytest.fixture
def alone(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    make_topology: Callable[..., Topology],
    make_host: Callable[..., Path],
) -> LabProvider:
    """A lab nothing is remembered of, on a host whose namespaces lie in ``netns``."""
    host = make_host(2)
    monkeypatch.setattr(provider, "detect", lambda: detect(host))
    monkeypatch.setattr(kernel, "holder", lambda name, state: None)
    monkeypatch.setattr(provider, "LabNetwork", lambda topology: LabNetwork(topology, folder=tmp_path / "netns"))
    return LabProvider(make_topology(), None, tmp_path / "b", silent)


def test_nothing_remains_where_nothing_is(alone: LabProvider) -> None:
    assert not alone.remains()


@pytest.mark.parametrize(
    "left",
    [
        "netns/gp-demo",
        "netns/gp-demo.cp9",
        "host2/sys/fs/cgroup/groundplane/demo/_forward/x",
        "host2/sys/fs/cgroup/groundplane/demo/cp1/x",
        "b/lab/machines/cp1/made",
    ],
)
def test_what_remains_of_a_lab_is_found(alone: LabProvider, tmp_path: Path, left: str) -> None:
    (tmp_path / left).parent.mkdir(parents=True)
    (tmp_path / left).touch()
    assert alone.remains()


def test_what_others_have_of_similar_names_is_not_ours(alone: LabProvider, tmp_path: Path) -> None:
    for name in ("netns/gp-demo-two", "netns/gp-demo-two.cp1", "host2/sys/fs/cgroup/groundplane/demo-two/cp1"):
        (tmp_path / name).mkdir(parents=True)
    assert not alone.remains()


def test_remains_that_another_state_folder_holds_are_told_with_that_folder(lab: LabProvider, tmp_path: Path) -> None:
    with pytest.raises(MachineError) as caught:
        lab.remains()
    assert caught.value.where == str(tmp_path / "a")
    assert f"--state-dir {tmp_path.parent}" in caught.value.hint


def machine_file(tmp_path: Path, machine: str, name: str) -> Path:
    path = tmp_path / "b/lab/machines" / machine / name
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    return path


def test_machines_that_the_file_no_longer_has_are_told_with_who_they_are(alone: LabProvider, tmp_path: Path) -> None:
    stranger = Identity("w9", (Role.WORKER,), "02:00:00:00:09:09", IPv4Address("10.80.0.99"))
    write_identity(machine_file(tmp_path, "w9", "machine.json"), stranger)
    machine_file(tmp_path, "w9", "made").touch()
    machine_file(tmp_path, "cp1", "made").touch()
    (tmp_path / "netns/gp-demo.cp7").mkdir(parents=True)
    (tmp_path / "b/lab/machines/stray").touch()
    assert alone.status() == (
        MachineStatus("gateway", Power.ABSENT),
        MachineStatus("cp1", Power.OFF),
        MachineStatus("cp2", Power.ABSENT),
        MachineStatus("cp7", Power.ABSENT, unfinished=True),
        MachineStatus("stray", Power.ABSENT, unfinished=True),
        MachineStatus("w9", Power.OFF, identity=stranger),
    )
    assert [machine.name for machine in alone.status() if machine.exists] == ["cp1", "cp7", "stray", "w9"]


def test_a_machine_whose_creation_was_cut_short_is_told(
    alone: LabProvider, tmp_path: Path, make_topology: Callable[..., Topology], monkeypatch: pytest.MonkeyPatch
) -> None:
    def cut_short(*_: object) -> None:
        raise KeyboardInterrupt

    machine = make_topology().machine("cp2")
    tmp_path.joinpath("b").mkdir(mode=0o700)
    monkeypatch.setattr(rootfs, "_seed", cut_short)
    monkeypatch.setattr(os, "chown", lambda *_: None)
    with pytest.raises(KeyboardInterrupt):
        rootfs.make(Folders(tmp_path / "b"), "demo", machine, Blueprint(MachineState("cp2"), Seed(b"", b"", b"")))
    found = next(entry for entry in alone.status() if entry.name == "cp2")
    identity = Identity("cp2", (Role.CONTROL_PLANE,), machine.mac, machine.address)
    assert found == MachineStatus("cp2", Power.ABSENT, identity=identity, unfinished=True)


def test_what_runs_under_our_name_in_anothers_lab_is_not_told_as_ours(lab: LabProvider, tmp_path: Path) -> None:
    (tmp_path / "host2/sys/fs/cgroup/groundplane/demo/w9").mkdir(parents=True)
    assert [machine.name for machine in lab.status()] == ["gateway", "cp1", "cp2"]


def test_a_machine_that_the_file_no_longer_has_is_stopped_and_removed(
    alone: LabProvider, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    done: list[tuple[str, str]] = []

    def noted(word: str) -> Callable[[object, str], Coroutine[None, None, bool]]:
        async def note(_: object, machine: str) -> bool:
            done.append((word, machine))
            return True

        return note

    for word in ("shut_down", "kill"):
        monkeypatch.setattr(Containers, word, noted(word))
    for word in ("silence", "unplug"):
        monkeypatch.setattr(LabNetwork, word, noted(word))
    machine_file(tmp_path, "w9", "made").touch()
    asyncio.run(alone.stop("w9"))
    assert done == [(word, "w9") for word in ("shut_down", "silence", "kill", "unplug")]
    asyncio.run(alone.remove("w9"))
    assert not [machine for machine in alone.status() if machine.exists]


@pytest.mark.parametrize(
    "content", ["", "[]", "{}", '{"name": "w9", "roles": ["king"], "mac": "", "address": "10.0.0.1"}']
)
def test_a_damaged_identity_hides_no_machine_and_is_written_anew(
    alone: LabProvider, tmp_path: Path, make_topology: Callable[..., Topology], content: str
) -> None:
    machine_file(tmp_path, "cp1", "made").touch()
    machine_file(tmp_path, "cp1", "machine.json").write_text(content)
    assert alone.status()[1] == MachineStatus("cp1", Power.OFF)
    machine = make_topology().machine("cp1")
    assert not rootfs.make(
        Folders(tmp_path / "b"), "demo", machine, Blueprint(MachineState("cp1"), Seed(b"", b"", b""))
    )
    assert alone.status()[1].identity == Identity("cp1", (Role.CONTROL_PLANE,), machine.mac, machine.address)


def test_who_has_stood_before_starts_on_that_without_other_material(
    alone: LabProvider, tmp_path: Path, make_topology: Callable[..., Topology], monkeypatch: pytest.MonkeyPatch
) -> None:
    started: list[Container] = []

    async def start(_: object, container: Container, *__: object) -> None:
        started.append(container)

    async def cabled(*_: object) -> bool:
        return False

    for where, name, instead in (
        (Containers, "start", start),
        (LabNetwork, "plug", cabled),
        (LabNetwork, "unplug", cabled),
        (guest, "write_layer", lambda folder: folder),
        (os, "chown", lambda *_: None),
    ):
        monkeypatch.setattr(where, name, instead)
    (tmp_path / "b").mkdir(mode=0o700)
    gateway, folders = make_topology().gateway, Folders(tmp_path / "b")
    blueprint = Blueprint(MachineState("gateway"), Seed(b"", b"", b""))
    rootfs.make(folders, "demo", gateway, blueprint)
    assert not alone.status()[0].startable
    with pytest.raises(MachineError, match="can't be started without the image and the bundle"):
        asyncio.run(alone.ensure("gateway", blueprint))
    trees = rootfs.Trees(*(tmp_path / name for name in ("root", "programs", "images")))
    for tree in (trees.root, trees.software, trees.registry):
        tree.mkdir()
    rootfs.stand_on(folders, "gateway", trees, tmp_path)
    assert alone.status()[0].startable
    assert asyncio.run(alone.ensure("gateway", blueprint))
    (container,) = started
    assert [bind.source for bind in container.binds] == [trees.registry]
    assert (container.folder / "software").readlink() == trees.software


def test_a_full_disk_is_told_as_the_machines_error() -> None:
    with pytest.raises(MachineError, match="No space left") as caught, provider._written("cp1"):
        raise OSError(28, "No space left on device")
    assert "--state-dir" in caught.value.hint
