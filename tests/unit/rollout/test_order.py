"""What comes, comes after the gateway knows it; what goes, goes when nobody counts on it any more."""

from __future__ import annotations

from dataclasses import replace

from tests.golden.laid_out import cases

from groundplane.rollout.order import order
from groundplane.rollout.plan import Birth, Leaving, MachinePlan, Plan, StepPlan
from groundplane.spec.roles import Role
from groundplane.state.step import Reach, Step
from groundplane.topology.model import Machine

LAB = cases()["lab"]
CP9 = replace(LAB.control_planes[2], name="cp9")
LB9 = replace(LAB.balancers[0], name="lb9")
W9 = replace(LAB.workers[0], name="w9")


async def holds(_: Reach) -> bool:
    return True


async def does_nothing(_: Reach) -> None: ...


def step(name: str, machine: str, *needs: str, early: bool = False, tidies: bool = False) -> Step:
    machines = () if tidies else (machine,)
    return Step(name, machine, "why", holds, does_nothing, needs, machines, tidies=tidies, early=early)


def leaves(machine: Machine) -> tuple[Step, ...]:
    return (step(f"drain:{machine.name}", machine.name), step(f"stop:{machine.name}", machine.name, early=True))


def before(needs: dict[str, tuple[str, ...]], act: str) -> set[str]:
    """All that is done before ``act``."""
    found: set[str] = set()
    todo = [act]
    while todo:
        for need in needs.get(todo.pop(), ()):
            if need not in found:
                found.add(need)
                todo.append(need)
    assert act not in found, "in a circle"
    return found


def born(*machines: Machine) -> tuple[Birth, ...]:
    return tuple(
        Birth(machine.name, tuple(role.value for role in machine.roles), str(machine.address), "new")
        for machine in machines
    )


def changing(*names: str) -> tuple[tuple[MachinePlan, ...], ...]:
    return tuple((MachinePlan(name),) for name in names)


def test_a_machine_is_born_after_the_gateway_knows_it() -> None:
    needs = order(LAB, Plan(changing("gateway", "lb1"), births=born(LAB.machine("worker2"))), ())
    assert before(needs, "machine:worker2") == {"machine:gateway", "change:gateway"}
    assert before(needs, "machine:worker1") == {"machine:gateway"}


def test_who_is_switched_off_and_on_comes_before_all_others_one_after_the_other() -> None:
    lacking = tuple(StepPlan(f"has:{name}", name, "why", restarts=True) for name in ("lb1", "cp1", "gateway"))
    steps = (step("join:worker2", "worker2"), step("has:cp1", "cp1"))
    going = [(Leaving(W9, alive=True), leaves(W9))]
    needs = order(LAB, Plan(changing("gateway"), lacking, births=born(LAB.machine("worker2"))), steps, going)
    assert before(needs, "machine:gateway") == set()
    assert before(needs, "machine:lb1") == {"machine:gateway"}
    assert before(needs, "machine:cp1") == {"machine:gateway", "machine:lb1"}
    for act in ("machine:worker1", "machine:worker2", "join:worker2", "remove:w9"):
        assert {"machine:gateway", "machine:lb1", "machine:cp1"} <= before(needs, act)


def test_a_new_balancer_is_born_after_the_standing_one_knows_of_it() -> None:
    needs = order(LAB, Plan(changing("gateway", "lb1"), births=born(LAB.machine("lb2"))), ())
    assert "change:lb1" in before(needs, "machine:lb2")


def test_batches_follow_one_another() -> None:
    needs = order(LAB, Plan(changing("gateway", "worker1", "cp1", "lb1")), ())
    assert {"change:cp1", "change:worker1", "change:gateway"} <= before(needs, "change:lb1")
    assert {machine for machine in before(needs, "change:cp1") if machine.startswith("machine:")} == {
        f"machine:{machine.name}" for machine in LAB.machines
    }


def test_steps_come_after_their_machines_changed() -> None:
    needs = order(LAB, Plan(changing("cp1")), (step("join:cp1", "cp1"), step("more", "cp1", "join:cp1")))
    assert {"machine:cp1", "change:cp1"} <= before(needs, "join:cp1")
    assert "join:cp1" in before(needs, "more")


def test_a_control_plane_goes_when_balancers_have_forgotten_it_and_before_the_others_change() -> None:
    gone = (Leaving(CP9, alive=True), leaves(CP9))
    needs = order(LAB, Plan(changing("gateway", "lb1", "lb2", "cp1")), (step("tidy", "gateway", tidies=True),), [gone])
    assert {"change:lb1", "change:lb2", "stop:cp9"} <= before(needs, "drain:cp9")
    assert {"drain:cp9", "stop:cp9"} <= before(needs, "remove:cp9")
    assert "remove:cp9" in before(needs, "change:cp1")
    assert "remove:cp9" in before(needs, "tidy")


def test_who_has_died_leaves_before_others_join_and_who_lives_after() -> None:
    joins = (step("join:cp3", "cp3"), step("join:cp2", "cp2"))
    plan = Plan(births=born(LAB.machine("cp3")))
    dead = order(LAB, plan, joins, [(Leaving(CP9, alive=False), leaves(CP9))])
    assert "remove:cp9" in before(dead, "join:cp3")
    alive = order(LAB, plan, joins, [(Leaving(CP9, alive=True), leaves(CP9))])
    assert "join:cp3" in before(alive, "drain:cp9")
    assert "remove:cp9" not in before(alive, "join:cp3")
    ailing = order(LAB, plan, joins, [(Leaving(CP9, alive=True, ails=True), leaves(CP9))])
    assert "remove:cp9" in before(ailing, "join:cp3")


def test_control_planes_leave_one_by_one_those_that_died_or_ail_first() -> None:
    other = replace(CP9, name="cp8")
    for first in (Leaving(other, False), Leaving(other, True, ails=True)):
        needs = order(LAB, Plan(), (), [(Leaving(CP9, True), leaves(CP9)), (first, leaves(other))])
        assert "remove:cp8" in before(needs, "drain:cp9")
        assert "remove:cp9" not in before(needs, "drain:cp8")


def test_a_balancer_is_gone_before_the_other_forgets_it() -> None:
    needs = order(LAB, Plan(changing("gateway", "lb1")), (), [(Leaving(LB9, True), leaves(LB9))])
    assert {"stop:lb9", "remove:lb9"} <= before(needs, "change:lb1")


def test_a_worker_goes_before_others_are_worked_on() -> None:
    needs = order(LAB, Plan(changing("gateway", "worker1", "lb1")), (), [(Leaving(W9, True), leaves(W9))])
    assert "remove:w9" in before(needs, "change:worker1")


def test_what_is_made_anew_is_removed_before_it_is_born() -> None:
    cp1 = LAB.machine("cp1")
    needs = order(
        LAB, Plan(births=born(cp1)), (step("join:cp1", "cp1"),), [(Leaving(cp1, True, anew=True), leaves(cp1))]
    )
    assert {"drain:cp1", "stop:cp1", "remove:cp1"} <= before(needs, "machine:cp1")
    assert "machine:cp1" in before(needs, "join:cp1")


def test_the_gateway_is_made_anew_before_anybody_is_switched_on() -> None:
    gateway = LAB.gateway
    needs = order(LAB, Plan(births=born(gateway)), (), [(Leaving(gateway, True, anew=True), ())])
    assert "remove:gateway" in before(needs, "machine:gateway")
    assert "machine:gateway" in before(needs, "machine:lb1")


def test_what_was_taken_comes_back_before_others_are_judged_by_it() -> None:
    """The rules of two nodes were removed while other things differ as well: every check would suffer from it."""
    joins = [step(f"join:{name}", name) for name in ("cp1", "worker1")]
    rules = [
        replace(step(f"rules:{name}", name, f"join:{name}"), mends=(f"join:{name}",)) for name in ("cp1", "worker1")
    ]
    batches = changing("gateway", "worker1", "cp1")

    def ordered(*missing: str) -> dict[str, tuple[str, ...]]:
        plan = Plan(batches, steps=tuple(StepPlan(name, name.partition(":")[2], "why") for name in missing))
        return order(LAB, plan, (*joins, *rules))

    needs = ordered("rules:cp1", "rules:worker1")
    for act in ("change:worker1", "change:cp1"):
        assert {"rules:cp1", "rules:worker1", "change:gateway"} <= before(needs, act)
    assert "change:cp1" in before(ordered(), "rules:cp1"), "it holds: asked after the change"
    assert "change:cp1" in before(ordered("rules:cp1", "join:cp1"), "rules:cp1"), "it can't be mended yet"


def test_what_mends_itself_waits_for_nobody() -> None:
    """Everything is over: the checks after a change could not hold before it is renewed."""
    init, renewed = step("init", "cp1"), replace(step("certificates:cp1", "cp1"), mends=())
    plan = Plan(changing("worker1", "cp1"), steps=tuple(StepPlan(one.name, "cp1", "why") for one in (init, renewed)))
    needs = order(LAB, plan, (init, renewed))
    assert "certificates:cp1" in before(needs, "change:worker1")
    assert not any(act.startswith("change:") for act in before(needs, "certificates:cp1"))


def test_a_gateway_that_is_a_balancer_too_waits_until_another_balancer_is_gone() -> None:
    gateway = replace(LAB.gateway, roles=(Role.GATEWAY, Role.BALANCER))
    both = replace(LAB, machines=(gateway, *LAB.machines[1:]))
    needs = order(both, Plan(changing("gateway", "lb1")), (), [(Leaving(LB9, True), leaves(LB9))])
    assert "remove:lb9" in before(needs, "change:gateway")


def test_what_is_asked_of_who_goes_comes_before_all_but_what_switches_machines_on() -> None:
    joins = (step("join:worker2", "worker2"), step("join:cp1", "cp1"), step("tidy", "gateway", tidies=True))
    plan = Plan(changing("gateway", "lb1", "cp1"), births=born(LAB.machine("worker2")))
    leaving = [(Leaving(CP9, True), leaves(CP9)), (Leaving(W9, False), leaves(W9))]
    needs = order(LAB, plan, joins, leaving, asking=("cp9",))
    starts = {f"machine:{machine.name}" for machine in LAB.machines if machine.name != "worker2"}
    assert before(needs, "without:cp9") == starts
    for act in needs.keys() - starts - {"without:cp9"}:
        assert "without:cp9" in before(needs, act)


def test_what_brings_the_gateway_back_waits_for_no_question() -> None:
    gateway = LAB.gateway
    leaving = [(Leaving(gateway, True, anew=True), (step("leave", "lb1"),)), (Leaving(CP9, True), leaves(CP9))]
    needs = order(LAB, Plan(changing("lb1"), births=born(gateway)), (), leaving, asking=("cp9",))
    assert {"leave", "remove:gateway", "machine:gateway", "machine:cp1"} <= before(needs, "without:cp9")
    assert "without:cp9" in before(needs, "change:lb1")
