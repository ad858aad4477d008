"""What `plan`, `apply` and `drift` show, ask, and end with."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from groundplane.rollout.plan import Birth, Interruption, MachinePlan, Plan, Removal, Resize, StepPlan
from groundplane.state.change import Action, Change, Kind, Refused
from groundplane.verify.report import Report, Result

EDIT = Change(Kind.FILE, "/etc/haproxy/haproxy.cfg", Action.UPDATE, "content differs", "-old\n+new\n", 1_700_000_000.5)
RELOAD = Change(Kind.UNIT, "haproxy.service", Action.RELOAD, "reads what changes")
FULL = Plan(
    batches=(
        (MachinePlan("cp1", off=True),),
        (MachinePlan("cp2", problem="does not answer"),),
        (
            MachinePlan(
                "lb1",
                (EDIT, RELOAD),
                (Refused(EDIT, "haproxy refuses it", "mend it", "line 3"),),
                (Interruption("haproxy.service", Action.RELOAD, "nothing"),),
            ),
        ),
    ),
    steps=(
        StepPlan("schedulable:cp3", "cp3", "let pods come", "it is cordoned", 1_700_000_000, "-old flag\n+new flag"),
    ),
    edits=("sizes.worker.cpus: 2 → 4",),
    sizes=(Resize("cp3", "1 processors, not 2"),),
)
SMALL = Plan(((MachinePlan("lb1", (EDIT,)),),))


def test_a_plan_shows_everything_and_ends_with_2(gp: Any, recipes: Any) -> None:
    recipes.plans = [FULL]
    answer = gp("plan")
    assert answer.code == 2
    for words in (
        "sizes.worker.cpus: 2 → 4",
        "cp1\n  is off",
        "cannot be asked: does not answer",
        "~ cp3: it has 1 processors, not 2; its size is given anew while it runs",
        "~ file /etc/haproxy/haproxy.cfg: update; content differs, since 2023-11-1",
        "      -old\n      +new",
        "refused: /etc/haproxy/haproxy.cfg: haproxy refuses it\n      line 3",
        "interrupts (reload haproxy.service): nothing",
        "schedulable:cp3: let pods come\n      now: it is cordoned, since 2023-11-1",
        "      -old flag\n      +new flag",
        "2 changes on 1 machine; 1 machine off; 1 machine that can't be asked; 1 step to carry out; 1 edit",
        "; 1 machine of another size",
    ):
        assert words in answer.out
    assert "next: groundplane apply" in answer.err


def test_newer_defaults_are_told_and_no_difference(gp: Any, recipes: Any) -> None:
    recipes.plans = [Plan(newer_defaults=("kubernetes.version: stays 1.36.2",))]
    answer = gp("-q", "plan")
    assert (answer.code, answer.out) == (0, "newer default: kubernetes.version: stays 1.36.2\nnothing differs\n")
    assert json.loads(gp("plan", "--json").out)["newer_defaults"] == ["kubernetes.version: stays 1.36.2"]


def test_no_difference_ends_with_0(gp: Any, recipes: Any) -> None:
    for command in ("plan", "drift"):
        answer = gp("-q", command)
        assert (answer.code, answer.out, answer.err) == (0, "nothing differs\n", "")


def test_what_keeps_a_command_from_comparing_is_no_difference(gp: Any, tmp_path: Path) -> None:
    (tmp_path / "cluster.yaml").write_text("name: [")
    for command in ("plan", "drift"):
        answer = gp(command, "--json")
        assert answer.code == 1
        assert json.loads(answer.out)["valid"] is False
    assert gp("apply", "--yes").code == 2


def test_the_document_is_complete(gp: Any, recipes: Any) -> None:
    recipes.plans = [FULL]
    for command in ("plan", "drift"):
        answer = gp(command, "--json")
        assert answer.code == 2
        document = json.loads(answer.out)
        assert document["schema"] == f"groundplane/{command}/v1"
        assert document["changed"] is True
        assert document["edits"] == ["sizes.worker.cpus: 2 → 4"]
        assert [[m["machine"] for m in batch] for batch in document["batches"]] == [["cp1"], ["cp2"], ["lb1"]]
        assert document["sizes"] == [{"machine": "cp3", "seen": "1 processors, not 2"}]
        balancer = document["batches"][2][0]
        assert balancer["changes"][0] == {
            "kind": "file",
            "key": "/etc/haproxy/haproxy.cfg",
            "action": "update",
            "why": "content differs",
            "diff": "-old\n+new\n",
            "since": "2023-11-14T22:13:20+00:00",
        }
        assert balancer["refused"][0]["problem"] == "haproxy refuses it"
        assert balancer["interruptions"] == [{"unit": "haproxy.service", "action": "reload", "words": "nothing"}]
        assert document["steps"][0]["seen"] == "it is cordoned"
        assert document["steps"][0]["diff"] == "-old flag\n+new flag"


def test_apply_with_yes_asks_nobody(gp: Any, recipes: Any) -> None:
    recipes.plans = [SMALL]
    answer = gp("apply", "--yes")
    assert answer.code == 0
    assert recipes.asked == [("apply", None)]
    assert "1 change on 1 machine: done (" in answer.out


def test_apply_where_nobody_can_be_asked_touches_nothing(gp: Any, recipes: Any) -> None:
    recipes.plans = [SMALL]
    answer = gp("apply")
    assert answer.code == 2
    assert [name for name, *_ in recipes.asked] == ["plan"]
    assert "--yes" in answer.err


@pytest.mark.parametrize(("typed", "code", "asked"), [("y\n", 0, ["plan", "apply"]), ("n\n", 1, ["plan"])])
def test_apply_asks_and_carries_out_what_was_agreed_to(
    gp: Any, recipes: Any, monkeypatch: pytest.MonkeyPatch, typed: str, code: int, asked: list[str]
) -> None:
    monkeypatch.setattr("groundplane.cli.platform.can_ask", lambda _: True)
    recipes.plans = [SMALL]
    answer = gp("apply", typed=typed)
    assert answer.code == code
    assert [name for name, *_ in recipes.asked] == asked
    assert "content differs" in answer.err
    if code == 0:
        assert recipes.asked[-1] == ("apply", SMALL)
    else:
        assert "nothing was changed" in answer.err


def test_apply_without_differences_says_so(gp: Any, recipes: Any) -> None:
    answer = gp("apply")
    assert answer.code == 0
    assert answer.out.startswith("nothing had to be changed (")


def test_apply_after_which_checks_fail_fails(gp: Any, recipes: Any) -> None:
    recipes.plans = [SMALL]
    recipes.report = Report((Result("dns", "names are answered", False, "SERVFAIL", 1.0, "look"),), changed=True)
    answer = gp("apply", "--yes", "--json")
    assert answer.code == 1
    document = json.loads(answer.out)
    assert document["schema"] == "groundplane/apply/v1"
    assert document["changes"] == 1
    assert document["verify"]["ok"] is False


def test_watching_tells_what_comes_and_goes(gp: Any, recipes: Any) -> None:
    recipes.plans = [Plan(), SMALL, SMALL, Plan()]
    answer = gp("drift", "--watch", "--every", "5")
    assert answer.code == 0
    assert recipes.asked == [("watch", 5.0)]
    lines = [line.split("  ", 1)[1] for line in answer.out.splitlines()]
    assert lines[0] == "nothing differs; looking again until Ctrl-C"
    assert lines[1].startswith("lb1: ~ file /etc/haproxy/haproxy.cfg: update; content differs")
    assert lines[2].startswith("mended: lb1: ~ file /etc/haproxy/haproxy.cfg")
    assert len(lines) == 3


BIRTH = Birth("worker1", ("worker",), "10.80.0.51", "it isn't there")
REMOVAL = Removal("worker9", "the file doesn't have it", alive=True)
JOIN = StepPlan("join:worker1", "worker1", "it joins", "worker1 is off", waits=("worker1",))


@pytest.mark.parametrize(
    ("plan", "lines"),
    [
        (Plan(edits=("sizes.worker.cpus: 2 → 4",)), ["the cluster file: sizes.worker.cpus: 2 → 4"]),
        (Plan(births=(BIRTH,), steps=(JOIN,)), ["worker1: it isn't there"]),
        (Plan(((MachinePlan("worker1", off=True),),), (JOIN,)), ["worker1: is off"]),
        (Plan(removals=(REMOVAL,)), ["worker9: the file doesn't have it"]),
        (
            Plan(
                births=(replace(BIRTH, why="it is made anew"),),
                removals=(Removal("worker1", "it is made anew", alive=False, anew=True),),
            ),
            ["worker1: it is made anew"],
        ),
        (Plan(unverified=True), ["checks: not all held when they were last asked"]),
        (
            Plan(steps=(StepPlan("schedulable:cp3", "cp3", "let pods come"),)),
            ["cp3: schedulable:cp3 does not hold"],
        ),
    ],
)
def test_whatever_differs_has_its_line_while_watching(gp: Any, recipes: Any, plan: Plan, lines: list[str]) -> None:
    assert not plan.empty
    recipes.plans = [plan, Plan()]
    told = [line.split("  ", 1)[1] for line in gp("drift", "--watch").out.splitlines()]
    assert told == [*lines, *(f"mended: {line}" for line in lines)]


def test_watching_with_json_writes_a_document_a_look(gp: Any, recipes: Any) -> None:
    recipes.plans = [Plan(), SMALL]
    documents = [json.loads(line) for line in gp("drift", "--watch", "--json").out.splitlines()]
    assert [document["changed"] for document in documents] == [False, True]
    assert {document["schema"] for document in documents} == {"groundplane/drift/v1"}
