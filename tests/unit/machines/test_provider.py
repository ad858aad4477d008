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


def test_a_full_disk_is_told_as_the_machines_error() -> None:
    with pytest.raises(MachineError, match="No space left") as caught, provider._written("cp1"):
        raise OSError(28, "No space left on device")
    assert "--state-dir" in caught.value.hint
