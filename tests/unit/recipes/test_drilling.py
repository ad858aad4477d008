"""Drills from beginning to end, and what they have done by the recipes: a machine that is gone is made anew, machines
are added and taken away."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterator
from functools import partial

import pytest
from tests.unit.recipes.test_kills import FEW, interrupted
from tests.unit.recipes.test_recipes import KUBECONFIG
from tests.unit.recipes.world import SMALL, Client, World

from groundplane import recipes
from groundplane.drill import catalogue, faults, probe, run
from groundplane.errors import FileChanged, GroundplaneError, MachineError, UsageError
from groundplane.recipes.common import existing, gathered, provider_for
from groundplane.recipes.drill import ByRecipes
from groundplane.spec.roles import Role
from groundplane.store import RunOutcome, RunRecord, runs, show

MORE = (Role.CONTROL_PLANE, Role.WORKER, Role.WORKER)
Recipe = Callable[[recipes.Options], Coroutine[object, object, object]]


async def hands(world: World) -> ByRecipes:
    design, _ = existing(world.options)
    spec, _ = world.store.settled(recipes.validate(world.options.file))
    emit = world.options.emit
    made = provider_for(design, world.store, emit, await gathered(design, world.options, emit, world.store.images()))
    return ByRecipes(design, made, spec, world.store, world.options, emit)


def scaled(world: World) -> Recipe:
    async def recipe(_: recipes.Options) -> None:
        operator = await hands(world)
        await operator.add(MORE)
        await operator.take_away()

    return recipe


@pytest.fixture
def small(world: World) -> World:
    world.write(SMALL)
    world.up()
    return world


@pytest.mark.parametrize("name", ["gateway", "lb1", "cp1", "worker1"])
def test_another_machine_takes_the_place_of_one_of_which_nothing_is_left(small: World, name: str) -> None:
    before = small.ground.machines[name].born
    whole = small.remembered()

    async def lost() -> None:
        operator = await hands(small)
        await operator.provider.remove(name)
        await operator.make_anew(name)

    small.run(lost())
    assert small.ground.machines[name].born > before
    assert small.members.get(name, small.ground.machines[name].born) == small.ground.machines[name].born
    assert not small.store.verified()
    small.store.set_verified(True)
    assert small.remembered() == whole
    assert small.plan().empty
    assert not small.wrong


def test_who_is_added_is_remembered_and_gone_again_in_the_end(small: World) -> None:
    before, spec = small.truth(), small.store.remembered_spec()
    files = small.remembered()

    async def add() -> ByRecipes:
        operator = await hands(small)
        await operator.add(MORE)
        return operator

    operator = small.run(add())
    assert {"cp4", "worker2", "worker3"} <= small.ground.machines.keys() & small.members.keys()
    assert small.store.remembered_spec() != spec
    assert {removal.machine for removal in small.plan().removals} == {"cp4", "worker2", "worker3"}
    small.run(operator.take_away())
    assert small.store.remembered_spec() == spec
    small.store.set_verified(True)
    assert small.truth()[:3] == before[:3]  # type: ignore[index]
    assert small.remembered() == files
    assert small.plan().empty
    assert not small.wrong


def test_who_was_killed_while_it_scaled_is_brought_back_by_apply(small: World) -> None:
    begin, whole = small.snapshot(), small.truth()
    small.run(scaled(small)(small.options))
    assert not small.wrong
    moments = small.moments
    assert moments > 20
    for moment in range(1, moments + 1, 2):
        begin()
        interrupted(small, scaled(small), moment, cancels=False)
        small.apply()
        assert small.truth() == whole, f"killed at moment {moment}"
        # What the file doesn't have its provider alone remembers, from the next apply on until it is removed.
        assert all("nothing remembers" in what for what in small.wrong), f"killed at moment {moment}"


def test_nothing_is_added_to_a_platform_whose_file_has_changed_and_its_file_is_not_applied(small: World) -> None:
    small.write(SMALL.replace("worker: 1", "worker: 2"))
    before = small.truth()

    async def refused() -> None:
        operator = await hands(small)
        with pytest.raises(FileChanged, match="has changed"):
            await operator.add(MORE)
        await operator.take_away()

    small.run(refused())
    assert small.truth() == before


@pytest.fixture
def drilled(small: World, monkeypatch: pytest.MonkeyPatch) -> World:
    """One whose clients can be watched, on the loop's clock; "names" is looked at only in the end."""
    small.ground.reach.on("*", "crm_mon", then=small.crm_mon)
    small.ground.reach.on("*", "kubectl", then=small.kubectl)
    small.ground.reach.on("*", "cat", answers=KUBECONFIG)
    small.ground.reach.on("*", "sh", "-c")  # journals: nobody says anything

    def clock() -> float:
        return asyncio.get_running_loop().time()

    async def no_pods(*_: object) -> tuple[()]:
        return ()

    for room in (run, faults, probe):
        monkeypatch.setattr(room, "monotonic", clock)
    monkeypatch.setattr(probe, "Watch", partial(probe.Watch, clock=clock))
    monkeypatch.setattr(probe, "Prober", partial(Client, small))
    monkeypatch.setattr(run, "begin_pods", no_pods)
    monkeypatch.setattr(run, "WHOLE", ("proxy", "members"))
    return small


def drill(name: str) -> Recipe:
    return lambda options: recipes.drill(options, name)


def at_every_moment(world: World, name: str, *, cancels: bool) -> Iterator[tuple[int, int]]:
    """Each moment of drill ``name`` and how many there are, when it was stopped or killed there."""
    begin = world.snapshot()
    world.drill(name)
    moments = world.moments
    for moment in range(1, moments + 1):
        begin()
        interrupted(world, drill(name), moment, cancels=cancels)
        yield moment, moments


def last(world: World) -> RunRecord:
    return runs(world.options.home, platform="lab")[0]


FAULTS = {
    "worker-crash": (["stop worker1 at once", "ensure worker1", "wait worker1"], "worker1: power cut", ""),
    "balancer-crash": (["stop lb1 at once", "ensure lb1", "wait lb1"], "lb1: power cut", "lb2"),
    "balancer-hang": (["freeze lb1", "thaw lb1"], "lb1: every process stands still", "lb2"),
    "balancer-partition-peer": (["cut lb1 from lb2", "mend"], "lb1: cut off from lb2", ""),
    "balancer-partition-all": (["cut lb1 from everybody", "mend"], "lb1: cut off from everybody", "lb2"),
}
LOST = {"machine-lost-worker": "worker1", "machine-lost-balancer": "lb1", "machine-lost-gateway": "gateway"}


@pytest.mark.parametrize("name", FAULTS)
def test_a_drill_breaks_mends_and_leaves_all_as_it_was(drilled: World, name: str) -> None:
    asked, broken, taken_over = FAULTS[name]
    before = drilled.truth()
    suite = drilled.drill(name)
    (report,) = suite.reports
    assert (suite.ok, suite.refused, suite.stopped) == (True, (), "")
    assert drilled.ground.journal == ["prepare", *asked]
    assert report.acts[0] == broken
    assert len(report.acts) == 2
    assert report.acts[1].startswith("then: ")
    assert "".join(one.where for one in report.moments if "floating" in one.title) == taken_over
    assert report.figures.acknowledged_writes > 20
    assert {result.name for result in report.checks.results} == {"names", "proxy", "members"}
    assert drilled.store.verified()
    assert drilled.truth() == before
    assert drilled.objects is None
    assert (last(drilled).command, last(drilled).outcome, last(drilled).error) == (f"drill {name}", RunOutcome.DONE, "")
    _, entries = show(drilled.options.home, last(drilled).id)
    done = {entry.step: entry.note for entry in entries if entry.subject == "drill" and entry.kind == "finished"}
    assert done[f"break: {name}"] == broken
    assert list(done)[:3] == ["watch clients", f"break: {name}", "wait until clients are served"]
    assert list(done)[3] == report.acts[1].removeprefix("then: ")
    assert not drilled.wrong


def test_all_machines_lose_their_power_and_get_it_back(drilled: World) -> None:
    before, names = drilled.truth(), list(drilled.ground.machines)
    suite = drilled.drill("everything-off")
    assert suite.ok
    verbs = ("stop {} at once", "ensure {}", "wait {}")
    assert drilled.ground.journal == ["prepare", *(verb.format(name) for verb in verbs for name in names)]
    assert drilled.truth() == before


def test_what_is_drilled_is_the_platform_as_it_is_by_then(drilled: World, monkeypatch: pytest.MonkeyPatch) -> None:
    drilled.overtake(monkeypatch, SMALL.replace("worker: 1", "worker: 2"))
    assert drilled.drill("everything-off").ok
    assert len(drilled.did("stop worker")) == 2


@pytest.mark.parametrize("gone", [False, True])
def test_who_loses_its_power_comes_back_on_what_it_stood_on(drilled: World, gone: bool) -> None:
    worker = drilled.ground.machines["worker1"]
    had = worker.material
    if gone:
        worker.material = None
    assert drilled.drill("worker-crash").ok
    assert worker.material is not None
    assert (worker.material is had) is not gone


@pytest.mark.parametrize("name", LOST)
def test_a_machine_that_is_lost_is_there_again_in_the_end(drilled: World, name: str) -> None:
    lost, remembered, spec = LOST[name], drilled.remembered(), drilled.store.remembered_spec()
    before = {machine: found.born for machine, found in drilled.ground.machines.items()}
    suite = drilled.drill(name)
    assert suite.ok
    assert suite.reports[0].acts == (f"{lost}: gone for good, with its disk", f"then: make {lost} anew")
    assert drilled.ground.journal[:3] == ["prepare", f"stop {lost} at once", f"remove {lost}"]
    again = ("ensure", "wait", *(("dismiss", "add") if lost in drilled.members else ()))
    assert [entry for entry in drilled.ground.journal if lost in entry][2:] == [f"{verb} {lost}" for verb in again]
    assert not drilled.did("apply")
    born = {machine: found.born for machine, found in drilled.ground.machines.items()}
    assert {machine for machine in born if born[machine] != before.get(machine)} == {lost}
    assert born.keys() == before.keys()
    assert all(born[member] == when for member, when in drilled.members.items())
    assert drilled.remembered() == remembered
    assert drilled.store.remembered_spec() == spec
    assert drilled.plan().empty
    assert last(drilled).outcome is RunOutcome.DONE
    assert not drilled.wrong


def test_machines_are_added_and_taken_away_again(drilled: World) -> None:
    before, added = drilled.truth(), ("cp4", "worker2", "worker3")
    suite = drilled.drill("scale")
    (report,) = suite.reports
    assert suite.ok
    assert report.acts == (
        "the platform gets another control-plane, another worker, another worker",
        "then: take away what was added",
    )
    assert report.findings[-1].seen == "there are cp4, worker2, worker3"
    for name in added:
        steps = [entry for entry in drilled.ground.journal if name in entry]
        assert steps == [f"{verb} {name}" for verb in ("ensure", "wait", "add", "dismiss", "remove")]
    assert drilled.did("stop", "freeze", "cut") == []
    assert drilled.truth() == before
    assert drilled.store.verified()
    assert (drilled.store.intended_spec(), drilled.plan().empty) == (None, True)
    assert last(drilled).outcome is RunOutcome.DONE
    assert not drilled.wrong


@pytest.mark.parametrize("name", ["worker-crash", "machine-lost-worker", "scale"])
def test_a_check_that_is_red_in_the_end_is_told_and_asked_again_by_apply(drilled: World, name: str) -> None:
    drilled.red.add("names")
    suite = drilled.drill(name)
    (report,) = suite.reports
    assert not suite.ok
    assert [finding.seen for finding in report.findings if not finding.ok] == ["names"]
    assert report.figures.healed_seconds is not None
    assert not drilled.store.verified()
    assert (last(drilled).outcome, last(drilled).error) == (RunOutcome.FAILED, f"{name} failed")
    assert drilled.plan().unverified
    drilled.red.clear()
    drilled.apply()
    assert drilled.store.verified()


def test_a_platform_that_does_not_heal_is_mended_all_the_same_and_counts_as_not_verified(drilled: World) -> None:
    drilled.spoilt.add("members")
    suite = drilled.drill("balancer-hang")
    failed = {finding.title for finding in suite.reports[0].findings if not finding.ok}
    assert failed == {"the platform heals", "every check holds afterwards"}
    assert drilled.ground.journal == ["prepare", "freeze lb1", "thaw lb1"]
    assert not drilled.store.verified()
    assert (last(drilled).outcome, last(drilled).error) == (RunOutcome.FAILED, "balancer-hang failed")


@pytest.mark.parametrize("name", [*FAULTS, *LOST, "scale"])
def test_a_drill_that_is_stopped_mends_what_it_broke(drilled: World, name: str) -> None:
    whole = drilled.truth()
    for moment, moments in at_every_moment(drilled, name, cancels=True):
        # At the first moment nothing was begun, and at the last one all is done already.
        assert drilled.store.verified() is (moment in (1, moments))
        assert last(drilled).outcome is (RunOutcome.INTERRUPTED if moment < moments else RunOutcome.DONE)
        assert not drilled.store.replaced(), f"stopped at moment {moment}"
        drilled.store.set_verified(True)
        assert drilled.truth() == whole, f"stopped at moment {moment}"
        assert drilled.objects is None, f"stopped at moment {moment}"
    # What was added, and is taken away again, its provider alone remembers.
    assert all("nothing remembers" in what and name == "scale" for what in drilled.wrong)


@pytest.mark.parametrize("name", [*FAULTS, "machine-lost-worker"])
def test_what_a_drill_that_was_killed_broke_is_mended_by_up(drilled: World, name: str) -> None:
    whole = drilled.truth()
    for moment, _ in at_every_moment(drilled, name, cancels=False):
        drilled.up()
        assert drilled.truth() == whole, f"killed at moment {moment}"
        assert drilled.drill(name).ok


@pytest.mark.parametrize("name", ["worker-crash", "machine-lost-worker", "scale"])
def test_a_platform_that_is_not_whole_is_refused_before_anything_is_broken(drilled: World, name: str) -> None:
    before = drilled.truth()
    drilled.red.add("members")
    with pytest.raises(GroundplaneError, match="isn't whole") as caught:
        drilled.drill(name)
    assert "members: last seen: members are" in caught.value.detail
    assert drilled.ground.journal == ["prepare"]
    assert not drilled.store.verified()
    assert (last(drilled).outcome, "isn't whole" in last(drilled).error) == (RunOutcome.FAILED, True)
    drilled.store.set_verified(True)
    assert drilled.truth() == before


def test_what_cannot_be_drilled_is_refused_before_anything_is_asked(drilled: World) -> None:
    drilled.write(FEW)
    drilled.apply()
    before = last(drilled)
    with pytest.raises(UsageError, match="there is no drill nosuch"):
        drilled.drill("nosuch")
    with pytest.raises(UsageError, match="there is no drill machine-lost") as caught:
        drilled.drill("machine-lost")
    names = [f"machine-lost-{role}" for role in ("worker", "balancer", "control-plane", "gateway")]
    assert caught.value.hint == f"there are: {', '.join(names)}"
    with pytest.raises(MachineError, match="it needs three control planes"):
        drilled.drill("scale")
    assert drilled.ground.journal == []
    assert drilled.store.verified()
    assert last(drilled) == before


def test_a_file_that_has_changed_keeps_a_platform_from_being_scaled_but_not_from_being_drilled(drilled: World) -> None:
    drilled.write(SMALL.replace("worker: 1", "worker: 2"))
    with pytest.raises(FileChanged):
        drilled.drill("scale")
    assert drilled.ground.journal == ["prepare"]
    assert last(drilled).outcome is RunOutcome.FAILED
    assert drilled.drill("worker-crash").ok
    assert drilled.drill("machine-lost-worker").ok
    assert "worker2" not in drilled.ground.machines


def test_all_are_done_one_after_the_other_until_one_cannot_be(drilled: World, monkeypatch: pytest.MonkeyPatch) -> None:
    worker, balancer, leader = map(catalogue.drill_named, ("worker-crash", "balancer-crash", "control-plane-crash"))
    monkeypatch.setattr(catalogue, "DRILLS", (worker, balancer))
    suite = drilled.drill("all")
    assert [(report.name, report.ok) for report in suite.reports] == [("worker-crash", True), ("balancer-crash", True)]
    assert drilled.ground.journal == ["prepare", *FAULTS["worker-crash"][0], *FAULTS["balancer-crash"][0]]
    assert (drilled.store.verified(), last(drilled).outcome) == (True, RunOutcome.DONE)
    monkeypatch.setattr(catalogue, "DRILLS", (worker, leader, balancer))
    suite = drilled.drill("all")  # nobody here is asked for etcd's leader
    assert [report.name for report in suite.reports] == ["worker-crash"]
    assert suite.stopped == "control-plane-crash: etcd has no leader"
    assert drilled.ground.journal == ["prepare", *FAULTS["worker-crash"][0]]
    assert (drilled.store.verified(), drilled.objects) == (False, None)
    assert (last(drilled).outcome, last(drilled).error) == (RunOutcome.FAILED, suite.stopped)
