"""``groundplane drill``: what is asked, what is shown, how it ends."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tests.unit.drill.made import pods, report, timeline
from tests.unit.machines.scripted import Scripted

from groundplane.drill import DRILLS, Suite
from groundplane.machines import catalog
from groundplane.recipes.common import Wanted
from groundplane.spec.model import ClusterSpec


def test_the_list_needs_no_platform(gp: Any, recipes: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("groundplane.cli.root.is_root", lambda: False)
    answer = gp("drill", "list")
    assert answer.code == 0
    assert recipes.asked == []
    assert "balancer-crash: The balancer with the floating address loses its power" in answer.out
    assert "    risk: " in answer.out
    assert "    needs: three control planes, a machine with a disk of its own" in answer.out


def test_the_list_as_json(gp: Any, recipes: Any) -> None:
    document = json.loads(gp("drill", "list", "--json").out)
    assert document["schema"] == "groundplane/drill-list/v1"
    assert [entry["name"] for entry in document["drills"]] == [drill.name for drill in DRILLS]
    assert document["drills"][0].keys() == {"name", "title", "risk", "needs"}


def test_a_drill_shows_what_came_of_it(gp: Any, recipes: Any) -> None:
    answer = gp("drill", "balancer-crash")
    assert answer.code == 0
    assert recipes.asked == [("drill", "balancer-crash")]
    assert answer.out.startswith("✓ balancer-crash: lb1: power cut; then: switch lb1 on\n")
    assert "+0.300 s  lb2: Corosync misses a token" in answer.out
    assert "clients waited 0.82 s; 40 of 250 requests failed, 0 were slow; whole after 3.5 s" in answer.out
    assert "pods waited 0.20 s for Service; 0 of 50 requests failed, 0 were slow, the slowest took 0.01 s" in answer.out
    assert "clock-jump: not done: it needs a clock of its own" in answer.out
    assert answer.out.endswith("1 of 1 drills passed\n")


def test_a_drill_as_json(gp: Any, recipes: Any) -> None:
    document = json.loads(gp("drill", "balancer-crash", "--json").out)
    assert document["schema"] == "groundplane/drill/v1"
    for key, value in {
        "name": "balancer-crash",
        "ok": True,
        "gap_seconds": 0.82,
        "failed_requests": 40,
        "lost_writes": 0,
        "double_address": False,
        "detect_seconds": 0.3,
        "takeover_seconds": 0.805,
        "healed_seconds": 3.5,
    }.items():
        assert document[key] == value, key
    assert document["gaps"] == [{"from": -0.015, "seconds": 0.82}]
    assert document["holders"][0] == {"from": -1.0, "until": 0.0, "machine": "lb1"}
    assert document["failures"][0] == {"what": "request", "why": "no answer within 2 s", "count": 40}
    assert document["from_pods"][1] == {
        "use": "DNS",
        "nodes": ["worker2", "cp3"],
        "requests": 100,
        "failed_requests": 0,
        "slow_requests": 0,
        "gap_seconds": 0.1,
        "longest_seconds": 0.01,
        "failing_seconds": None,
    }
    assert document["journal"][1]["at"] == pytest.approx(0.3)
    assert {finding["ok"] for finding in document["findings"]} == {True}


def test_what_failed_from_pods_is_told_with_its_end(gp: Any, recipes: Any) -> None:
    seen = replace(timeline(), pods=pods(hanging=(100.2, 100.4)))
    recipes.suite = Suite((report(seen),))
    answer = gp("drill", "balancer-crash")
    assert "pods waited 0.60 s for Service; 2 of 50 requests failed, the last after 0.4 s, 0 were slow" in answer.out
    document = json.loads(gp("drill", "balancer-crash", "--json").out)
    assert {"what": "Service", "why": "no answer within 2 s", "count": 2} in document["failures"]


def test_all_drills_as_json_are_one_document(gp: Any, recipes: Any) -> None:
    document = json.loads(gp("drill", "all", "--json").out)
    assert document["schema"] == "groundplane/drill-all/v1"
    assert document["drills"][0]["gap_seconds"] == 0.82
    assert document["refused"] == [{"name": "clock-jump", "reason": "it needs a clock of its own"}]


def test_a_drill_that_finds_fault_fails(gp: Any, recipes: Any) -> None:
    recipes.suite = Suite((report(timeline(double=True)), replace(report(), name="balancer-hang")))
    answer = gp("drill", "all")
    assert answer.code == 1
    assert "✗  at no moment two machines answer for the floating address" in answer.out
    assert answer.out.endswith("1 of 2 drills passed\n")


def test_the_page_is_written_beside(gp: Any, recipes: Any, tmp_path: Path) -> None:
    answer = gp("drill", "balancer-crash", "--html", "report.html", "--json")
    assert answer.code == 0
    assert "report.html" in answer.err
    assert (tmp_path / "report.html").read_text().startswith("<!DOCTYPE html>")
    assert (tmp_path / "report.html").stat().st_mode & 0o777 == 0o600
    assert json.loads(answer.out)["ok"] is True


@pytest.mark.parametrize("page", ["notes.txt", ".", "nowhere/report.html"])
def test_a_page_that_has_no_place_is_refused_before_anything_is_broken(
    gp: Any, recipes: Any, tmp_path: Path, page: str
) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    answer = gp("drill", "balancer-crash", "--html", page)
    assert answer.code == 1
    assert page in answer.err
    assert recipes.asked == []
    assert (tmp_path / "notes.txt").read_text() == "mine"


def test_machines_that_somebody_may_miss_are_not_broken_unasked(
    gp: Any, recipes: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    from groundplane import recipes as module

    elsewhere = ClusterSpec.model_construct(**{**ClusterSpec(name="x").__dict__, "provider": "hosts"})
    monkeypatch.setattr(module, "wanted", lambda _: Wanted(elsewhere))
    monkeypatch.setattr(catalog, "KINDS", {"hosts": Scripted()})
    answer = gp("drill", "balancer-crash")
    assert answer.code == 2
    assert "--yes" in answer.err
    assert recipes.asked == []
    assert gp("drill", "balancer-crash", "--yes").code == 0


def test_only_root_may_break_machines(gp: Any, recipes: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("groundplane.cli.root.is_root", lambda: False)
    answer = gp("drill", "balancer-crash")
    assert answer.code == 1
    assert "only root may break machines" in answer.err
