"""An apply that can't be carried out doesn't begin."""

from __future__ import annotations

import pytest

from groundplane.errors import ApplyError
from groundplane.rollout.apply import refuse
from groundplane.rollout.plan import Birth, MachinePlan, Plan, StepPlan
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
        Plan(agreed.batches, agreed.steps, births=(Birth("w9", ("worker",), "10.80.0.59", "it isn't there"),)),
    ):
        with pytest.raises(ApplyError, match="has changed since"):
            refuse(other, agreed)
