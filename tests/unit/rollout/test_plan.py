"""The order of a plan keeps the service up, and says what it interrupts."""

from __future__ import annotations

from dataclasses import replace

from tests.golden.laid_out import cases

from groundplane.rollout.plan import Birth, Found, Leaving, Plan, Removal, Resize, Seen, StepPlan, plan
from groundplane.state.change import Action, Change, Findings, Kind, Refused

LAB = cases()["lab"]
EDIT = Change(Kind.FILE, "/etc/x", Action.UPDATE, "content differs", "-a\n+b\n", 5.0)
RELOAD = Change(Kind.UNIT, "haproxy.service", Action.RELOAD, "reads what changes")
EVERYWHERE = {machine.name: Found(Findings((EDIT,))) for machine in LAB.machines}


def order(found: Plan) -> list[list[str]]:
    return [[machine.machine for machine in batch] for batch in found.batches]


def test_nothing_found_is_an_empty_plan() -> None:
    nothing = plan(LAB, Seen({machine.name: Found() for machine in LAB.machines}), interrupts={})
    assert nothing == Plan()
    assert nothing.empty


def test_balancers_and_control_planes_come_one_by_one_and_the_holder_last() -> None:
    for holder, balancers in (("lb1", [["lb2"], ["lb1"]]), ("lb2", [["lb1"], ["lb2"]]), (None, [["lb1"], ["lb2"]])):
        found = plan(LAB, Seen(EVERYWHERE, holder=holder), interrupts={})
        assert order(found) == [
            ["gateway"], ["worker1"], ["worker2"], ["cp1"], ["cp2"], ["cp3"], *balancers
        ]  # fmt: skip


def test_a_machine_of_several_roles_comes_alone_in_the_turn_of_the_most_careful() -> None:
    three = cases()["three"]
    everywhere = {machine.name: Found(Findings((EDIT,))) for machine in three.machines}
    found = plan(three, Seen(everywhere, holder="server2"), interrupts={})
    assert order(found) == [["server1"], ["server3"], ["server2"]]


def test_machines_where_nothing_differs_are_left_out() -> None:
    found = plan(LAB, Seen({**{m.name: Found() for m in LAB.machines}, "cp2": Found(Findings((EDIT,)))}), interrupts={})
    assert order(found) == [["cp2"]]
    assert found.machines[0].changes == (EDIT,)
    assert not found.empty


def test_what_a_restart_interrupts_is_said() -> None:
    found = plan(LAB, Seen({"lb1": Found(Findings((EDIT, RELOAD)))}), interrupts={"haproxy.service": "nothing"})
    (machine,) = found.machines
    assert [(one.unit, one.action, one.words) for one in machine.interruptions] == [
        ("haproxy.service", Action.RELOAD, "nothing")
    ]


def test_machines_that_are_off_or_silent_or_refuse_are_part_of_the_plan() -> None:
    refused = Refused(EDIT, "the program refuses it", "mend the template", "line 3")
    found = plan(
        LAB,
        Seen({"cp1": Found(off=True), "cp2": Found(problem="no answer"), "cp3": Found(Findings((EDIT,), (refused,)))}),
        interrupts={},
    )
    one, two, three = found.machines
    assert (one.off, two.problem, three.refused) == (True, "no answer", (refused,))


def test_steps_and_edits_alone_make_a_plan() -> None:
    assert not plan(LAB, Seen({}, (StepPlan("a", "cp1", "why"),)), interrupts={}).empty
    assert not plan(LAB, Seen({}), edits=("sizes.worker.cpus: 2 → 4",), interrupts={}).empty


def test_another_size_alone_makes_a_plan_but_not_of_a_machine_made_anew() -> None:
    sizes = (Resize("cp1", "1 processors, not 2"), Resize("cp2", "1 processors, not 2"))
    seen = Seen({}, leaving=(Leaving(LAB.machine("cp2"), alive=True, anew=True),), sizes=sizes)
    assert plan(LAB, seen, interrupts={}).sizes == sizes[:1]
    assert not plan(LAB, Seen({}, sizes=sizes), interrupts={}).empty


def test_a_platform_whose_checks_were_red_differs() -> None:
    found = plan(LAB, Seen({}, verified=False), interrupts={})
    assert not found.empty
    assert not found.needs_material


def test_machines_that_are_not_there_are_born_and_what_goes_is_removed() -> None:
    worker, dead = LAB.workers[0], replace(LAB.control_planes[2], name="cp9")
    seen = Seen(
        {"cp1": Found(absent=True), worker.name: Found(Findings((EDIT,)))},
        leaving=(Leaving(dead, alive=False), Leaving(worker, alive=True, anew=True)),
    )
    found = plan(LAB, seen, interrupts={})
    assert found.births == (
        Birth("cp1", ("control-plane",), "10.80.0.21", "it isn't there"),
        Birth("worker1", ("worker",), "10.80.0.51", "it is made anew"),
    )
    assert found.removals == (
        Removal("cp9", "the file doesn't have it", False, ("control-plane",)),
        Removal("worker1", "it is made anew", True, ("worker",), anew=True),
    )
    assert found.batches == (), "what is made anew isn't changed before"
    assert found.needs_material


def test_balancers_forget_a_control_plane_before_anything_else_is_worked_on() -> None:
    dead = Leaving(replace(LAB.control_planes[2], name="cp9"), alive=True)
    found = plan(LAB, Seen(EVERYWHERE, leaving=(dead,), holder="lb1"), interrupts={})
    assert order(found)[:3] == [["gateway"], ["lb2"], ["lb1"]]


def test_workers_come_a_tenth_at_a_time() -> None:
    from groundplane.spec import load
    from groundplane.topology import Traits, lay_out

    text = b"name: big\nnetwork: {lan: 10.80.0.0/22}\nmachines: {worker: 45}\n"
    big = lay_out(load(text, name="x", versions=("1.37.2",)), LAB.secrets, Traits())
    found = plan(big, Seen({machine.name: Found(Findings((EDIT,))) for machine in big.workers}), interrupts={})
    assert [len(batch) for batch in found.batches] == [4] * 11 + [1]


def test_what_is_made_anew_is_not_switched_off_and_on_for_a_step() -> None:
    lacking = StepPlan("registry-images", "gateway", "serve them", restarts=True)
    nothing = {machine.name: Found() for machine in LAB.machines}
    assert plan(LAB, Seen(nothing, (lacking,)), interrupts={}).restarted == ("gateway",)
    anew = Leaving(LAB.gateway, alive=True, anew=True)
    assert plan(LAB, Seen(nothing, (lacking,), (anew,)), interrupts={}).restarted == ()
