"""What a provider refuses, before it touches anything."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest

from groundplane.errors import MachineError
from groundplane.events import silent
from groundplane.machines.lab import kernel, provider
from groundplane.machines.lab.cgroups import detect
from groundplane.machines.lab.containers import Containers
from groundplane.machines.lab.network import Network
from groundplane.machines.lab.provider import LabProvider
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
    monkeypatch.setattr(provider, "Network", lambda topology: Network(topology, folder=tmp_path / "netns"))
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


def test_a_full_disk_is_told_as_the_machines_error() -> None:
    with pytest.raises(MachineError, match="No space left") as caught, provider._written("cp1"):
        raise OSError(28, "No space left on device")
    assert "--state-dir" in caught.value.hint
