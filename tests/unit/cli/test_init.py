"""`init` writes a first file that is valid, and nothing over another one."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from groundplane.software import known_versions
from groundplane.spec import load
from groundplane.spec.model import ClusterSpec, Counts, ProviderName


@pytest.fixture(autouse=True)
def _computer(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Much memory, and no network besides."""
    monkeypatch.setattr("groundplane.cli.init._memory", lambda: 64 << 30)
    monkeypatch.setattr("groundplane.cli.init.ROUTES", tmp_path / "route")


def read(path: Path) -> ClusterSpec:
    return load(path.read_bytes(), name=str(path), versions=known_versions())


def test_without_a_terminal_nobody_is_asked(gp: Any, tmp_path: Path) -> None:
    answer = gp("init")
    assert answer.code == 0
    assert answer.out == "cluster.yaml: written: platform lab, 8 machines, LAN 10.80.0.0/24\n"
    path = tmp_path / "cluster.yaml"
    assert read(path).machines == Counts()
    path.write_text("precious")
    refused = gp("init")
    assert (refused.code, "--force" in refused.err) == (1, True)
    assert path.read_text() == "precious"
    assert gp("init", "--force").code == 0
    assert read(path).name == "lab"
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["cluster.yaml"]


def test_options_say_what_the_file_says(gp: Any, tmp_path: Path) -> None:
    words = ("--name", "mine", "--control-planes", "1", "--workers", "0", "--balancers", "1", "--lan", "10.9.0.0/24")
    answer = gp("init", "-f", "own.yaml", "--json", *words)
    found = json.loads(answer.out)
    assert found["schema"] == "groundplane/init/v1"
    assert (found["file"], found["name"], found["lan"]) == ("own.yaml", "mine", "10.9.0.0/24")
    assert [machine["name"] for machine in found["machines"]] == ["gateway", "lb1", "cp1"]
    spec = read(tmp_path / "own.yaml")
    assert spec.balancers.accept_single_point_of_failure


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--provider", "servers"), "there is no provider servers yet"),
        (("--control-planes", "2"), "take an odd number"),
        (("--lan", "10.80.0.1/24"), "--lan: 10.80.0.1/24 has host bits set"),
        (("--name", "My Lab"), "write my-lab"),
        (("--kubernetes", "1.2"), "kubernetes.version"),
    ],
)
def test_what_cant_be_built_is_not_written(gp: Any, tmp_path: Path, words: tuple[str, ...], said: str) -> None:
    answer = gp("init", *words)
    assert (answer.code, list(tmp_path.iterdir())) == (2, [])
    assert said in answer.err


def test_who_sits_there_is_asked(gp: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("groundplane.cli.init.can_ask", lambda _: True)
    (tmp_path / "state" / "groundplane" / "platforms" / "lab").mkdir(parents=True)
    answer = gp("init", typed="lab\n\n1\n1\n0\n\n")
    assert answer.code == 0, answer.err
    assert f"({', '.join(ProviderName)})" in answer.err
    assert "[lab2]" in answer.err
    spec = read(tmp_path / "cluster.yaml")
    assert (spec.name, spec.machines) == (
        "lab2",
        Counts.model_validate({"balancer": 1, "control-plane": 1, "worker": 0}),
    )
    refused = gp("init", "-f", "other.yaml", typed="servers\n")
    assert (refused.code, "no provider servers yet" in refused.err) == (2, True)


def test_a_small_computer_is_proposed_a_small_platform(
    gp: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("groundplane.cli.init._memory", lambda: 4 << 30)
    assert "none may fail" in gp("init").err
    assert read(tmp_path / "cluster.yaml").machines == Counts.model_validate(
        {"balancer": 1, "control-plane": 1, "worker": 1}
    )


@pytest.mark.parametrize("form", [(), ("--json",)])
def test_a_file_that_no_file_system_takes_is_a_plain_error(gp: Any, form: tuple[str, ...]) -> None:
    answer = gp("init", "-f", "/proc/x.yaml", *form)
    assert (answer.code, answer.out) == (1, "")
    assert "error: /proc/x.yaml: can't be written" in answer.err
    assert "next: name a place" in answer.err
