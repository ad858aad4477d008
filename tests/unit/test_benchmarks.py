"""What the benchmarks make of a journal."""

from __future__ import annotations

import runpy
from pathlib import Path

import pytest

UP = runpy.run_path(str(Path(__file__).parents[2] / "benchmarks" / "up.py"), run_name="up")
durations, ends = UP["durations"], UP["ends"]


def entry(at: float, subject: str, step: str, kind: str) -> dict[str, object]:
    return {"at": at, "subject": subject, "step": step, "kind": kind}


JOURNAL = [
    entry(0.2, "bundle", "obtain", "finished"),
    entry(1.0, "gateway", "boot", "started"),
    entry(5.0, "cp1", "boot", "started"),
    entry(15.0, "cp1", "kubeadm-init", "started"),
    entry(20.0, "worker1", "boot", "finished"),
    entry(30.0, "cp1", "kubeadm-init", "finished"),
    entry(40.0, "cp2", "control-plane", "finished"),
    entry(70.0, "cp3", "control-plane", "finished"),
    entry(72.0, "platform", "flannel", "finished"),
    entry(73.0, "verify", "etcd", "started"),
    entry(74.0, "verify", "nodes", "started"),
    entry(75.0, "verify", "etcd", "finished"),
    entry(80.0, "verify", "nodes", "finished"),
]


def test_the_phases_follow_each_other_and_sum_up_to_the_whole() -> None:
    found = durations(JOURNAL, 81.5)
    assert list(found.values()) == [1.0, 14.0, 15.0, 40.0, 3.0, 7.0, 1.5]
    assert list(found)[-1] == UP["REST"]
    assert sum(found.values()) == pytest.approx(81.5)


def test_what_a_platform_has_not_takes_no_time() -> None:
    alone = [line for line in JOURNAL if line["step"] != "control-plane"]
    assert durations(alone, 81.5)["joins"] == 0
    assert sum(durations(alone, 81.5).values()) == pytest.approx(81.5)


def test_the_last_of_each_step_counts() -> None:
    assert ends(JOURNAL)["control-plane"] == 70.0
    assert "kubeadm-init" in ends(JOURNAL)
    assert ends(JOURNAL)["boot"] == 20.0
