"""The conformance summary: a test counts as passed only where a report says so."""

from __future__ import annotations

import json
import re
from pathlib import Path

from tests.conformance.report import Outcome, Verdict, focus, read

PASSED = Outcome("a works [Conformance]", "passed", 1.0)
FAILED = Outcome("b works [Conformance]", "failed", 2.0, "timed out")
WANTED = (PASSED.name, FAILED.name)


def spec(name: str, state: str, kind: str = "It") -> dict[str, object]:
    first, _, rest = name.partition(" ")
    return {
        "ContainerHierarchyTexts": [first] if rest else None,
        "LeafNodeText": rest or first,
        "LeafNodeType": kind,
        "State": state,
        "RunTime": 1_500_000_000,
        "Failure": {"Message": "line\n  line"} if state == "failed" else None,
    }


def test_reports_tell_tests_that_ran(tmp_path: Path) -> None:
    path = tmp_path / "report.json"
    specs = [spec("a b", "passed"), spec("c d", "skipped"), spec("e f", "failed"), spec("", "passed", "BeforeSuite")]
    path.write_text(json.dumps([{"SpecReports": specs}]))
    assert read(path) == {"a b": Outcome("a b", "passed", 1.5), "e f": Outcome("e f", "failed", 1.5, "line line")}


def test_a_run_without_a_report_ran_nothing(tmp_path: Path) -> None:
    assert read(tmp_path / "report.json") == {}


def test_passed_at_once_and_passed_again_are_told_apart() -> None:
    again = {FAILED.name: Outcome(FAILED.name, "passed", 1.0)}
    verdict = Verdict(WANTED, {PASSED.name: PASSED, FAILED.name: FAILED}, again)
    assert verdict.ok
    assert verdict.at_once == (PASSED.name,)
    assert verdict.second_time == (FAILED.name,)
    assert "- b works [Conformance] (failed: timed out)" in list(verdict.lines())


def test_a_test_that_was_never_reached_did_not_pass() -> None:
    verdict = Verdict(WANTED, {PASSED.name: PASSED}, {})
    assert not verdict.ok
    assert verdict.failed == (FAILED.name,)


def test_no_test_at_all_is_no_pass() -> None:
    assert not Verdict((), {}, {}).ok


def test_focus_finds_exactly_the_named() -> None:
    pattern = re.compile(focus(["a (b) [c]", "d.e"]))
    assert pattern.search("suite a (b) [c]")
    assert not pattern.search("suite a (b) [c] d")
    assert not pattern.search("suite dxe")
