"""An apply that can't be carried out doesn't begin."""

from __future__ import annotations

import pytest
from tests.golden.laid_out import cases

from groundplane.design import design
from groundplane.errors import ApplyError
from groundplane.rollout.apply import refuse, refuse_leaving_nobody, refuse_many_balancers
from groundplane.rollout.plan import Birth, MachinePlan, Plan, Removal, Resize, StepPlan
from groundplane.state.change import Action, Change, Kind, Refused

EDIT = Change(Kind.FILE, "/etc/x", Action.UPDATE, "content differs", "-a\n+b\n", 5.0)


def machine(name: str) -> MachinePlan:
    return MachinePlan(name, (EDIT,))


def test_what_cannot_be_carried_out_is_refused_before_anything_is_touched() -> None:
    refuse(Plan(((machine("a"),),)))
    with pytest.raises(ApplyError, match="cp1: it can't be asked: no answer"):
        refuse(Plan(((machine("a"),), (MachinePlan("cp1", problem="no answer"),))))
    bad = Refused(EDIT, "haproxy refuses it", "mend it", "line 3: unknown keyword")
    with pytest.raises(ApplyError, match="haproxy refuses it") as caught:
        refuse(Plan(((machine("a"),), (MachinePlan("lb1", (EDIT,), (bad,)),))))
    assert caught.value.where == "lb1"
    assert "nothing was touched" in caught.value.hint
    assert "unknown keyword" in caught.value.detail


def test_only_what_was_agreed_to_is_carried_out() -> None:
    agreed = Plan(((machine("a"),),), (StepPlan("s", "cp1", "why", "seen"),))
    later = Change(Kind.FILE, "/etc/x", Action.UPDATE, "content differs", "-a\n+b\n", 9.0)
    refuse(Plan(((MachinePlan("a", (later,)),),), (StepPlan("s", "cp1", "why", "other"),)), agreed)
    for other in (
        Plan(((machine("a"),), (machine("b"),))),
        Plan(agreed.batches, agreed.steps, sizes=(Resize("a", "1 processors, not 2"),)),
        Plan(agreed.batches, agreed.steps, births=(Birth("w9", ("worker",), "10.80.0.59", "it isn't there"),)),
    ):
        with pytest.raises(ApplyError, match="has changed since"):
            refuse(other, agreed)


def test_a_program_that_would_hold_something_else_was_not_agreed_to() -> None:
    one, other = (
        Plan(((MachinePlan("a", (Change(Kind.ARTIFACT, "/bin/x", Action.UPDATE, "differs", content=digest),)),),))
        for digest in ("sha256:1", "sha256:2")
    )
    refuse(one, one)
    with pytest.raises(ApplyError, match="has changed since"):
        refuse(other, one)
    with pytest.raises(ApplyError, match="other programs than the platform remembers"):
        refuse(other, one, one)


def comes(name: str, role: str = "balancer") -> Birth:
    return Birth(name, (role,), "10.80.0.12", "it isn't there")


def goes(name: str, *, anew: bool = False) -> Removal:
    return Removal(name, "the file doesn't have it", True, ("balancer",), anew)


@pytest.mark.parametrize(
    ("plan", "refused"),
    [
        (Plan(births=(comes("lb2"),)), False),
        (Plan(removals=(goes("lb9"),)), False),
        (Plan(births=(comes("lb2"),), removals=(goes("lb2", anew=True),)), False),
        (Plan(births=(comes("worker1", "worker"), comes("worker2", "worker"))), False),
        (Plan(births=(comes("lb2"),), removals=(goes("lb9"),)), True),
        (Plan(removals=(goes("lb8"), goes("lb9"))), True),
        (Plan(births=(comes("lb1"), comes("lb2"))), True),
    ],
)
def test_balancers_come_and_go_one_at_a_time(plan: Plan, refused: bool) -> None:
    """While lists of them differ by one machine, no two halves can each be a majority."""
    if not refused:
        refuse_many_balancers(cases()["lab"], plan, ("lb1",))
        return
    with pytest.raises(ApplyError, match="more than one balancer") as caught:
        refuse_many_balancers(cases()["lab"], plan, ())
    assert "one at a time" in caught.value.hint


@pytest.mark.parametrize("holds", [True, False])
def test_nobody_leaves_who_could_be_all_there_is(holds: bool) -> None:
    """What the platform began with would be begun anew on those that stay."""
    steps = [step for step in design(cases()["lab"]).steps if step.founds]
    assert [step.name for step in steps] == ["kubeadm-init"]
    missing = () if holds else (StepPlan("kubeadm-init", "cp1", "why"),)
    plan = Plan(steps=missing, removals=(Removal("cp9", "the file doesn't have it", True, ("control-plane",)),))
    if holds:
        refuse_leaving_nobody(steps, plan)
        return
    with pytest.raises(ApplyError, match="cp9 can't go"):
        refuse_leaving_nobody(steps, plan)
    refuse_leaving_nobody(steps, Plan(steps=missing))
