"""Killed at every moment, or asked to stop: what is remembered tells the truth, and running again finishes.

A moment is a change of anything that outlives the process: of a machine, of the members, of the state folder. A kill at
any await between two of them leaves the same behind as one at the first. Who is only asked to stop still finishes what
must not be left half done, so every third moment will do there.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import dataclass

import pytest
from tests.unit.recipes.world import SMALL, Killed, World

from groundplane import recipes
from groundplane.errors import MachineError, TransportError

Recipe = Callable[[recipes.Options], Coroutine[object, object, object]]
SINGLE = "balancers: {accept-single-point-of-failure: true}\n"
FEW = f"name: lab\n{SINGLE}machines: {{balancer: 1, control-plane: 1, worker: 1}}\n"


def replaced(name: str) -> Recipe:
    return lambda options: recipes.replace(options, (name,))


@dataclass(frozen=True)
class Run:
    """From the platform of one file (none: an empty ground) to that of another by ``recipe``; ``then`` is run after it
    was killed."""

    before: str
    after: str
    recipe: Recipe
    then: Recipe


RUNS = {
    "up": Run("", SMALL, recipes.up, recipes.up),
    "more of all": Run(FEW, SMALL, recipes.apply, recipes.apply),
    "fewer of all": Run(SMALL, FEW, recipes.apply, recipes.apply),
    "the first control plane": Run(SMALL, SMALL, replaced("cp1"), replaced("cp1")),
    "a control plane, then apply": Run(SMALL, SMALL, replaced("cp2"), recipes.apply),
    "the gateway": Run(SMALL, SMALL, replaced("gateway"), replaced("gateway")),
    "a balancer, then up": Run(SMALL, SMALL, replaced("lb1"), recipes.up),
    "a worker": Run(SMALL, SMALL, replaced("worker1"), replaced("worker1")),
}


def tells_the_truth(world: World, whole: object, names: set[str]) -> None:
    """``plan`` of what was left: nothing only where all is done and was found well; what is missing or too much by
    its name, ``names`` being the file's. Machines that are half made or half removed count as missing."""
    if world.store.remembered_spec() is None:
        assert not world.ground.machines
        with pytest.raises(MachineError):
            world.plan()
        return
    found = world.plan()
    if found.empty:
        assert world.truth() == whole
        return
    whole_ones = {name for name, machine in world.ground.machines.items() if not machine.unfinished}
    assert {birth.machine for birth in found.births} == names - whole_ones
    assert {removal.machine for removal in found.removals} == world.ground.machines.keys() - names


def interrupted(world: World, run: Recipe, moment: int, cancels: bool) -> None:
    """``run`` up to ``moment``, where it must come to its end."""
    world.end_at, world.cancels = moment, cancels
    with pytest.raises((Killed, BaseExceptionGroup, asyncio.CancelledError)) as caught:
        world.run(run(world.options))
    world.end_at = 0
    error = caught.value
    assert isinstance(error, asyncio.CancelledError if cancels else Killed) or (
        isinstance(error, BaseExceptionGroup) and error.split(Killed)[1] is None
    )


@pytest.mark.parametrize("cancels", [False, True], ids=["killed", "stopped"])
@pytest.mark.parametrize("name", RUNS)
def test_what_was_killed_is_told_and_finished(world: World, name: str, cancels: bool) -> None:
    run = RUNS[name]
    if run.before:
        world.write(run.before)
        world.up()
    world.write(run.after)
    begin = world.snapshot()
    world.run(run.recipe(world.options))
    whole, moments, names = world.truth(), world.moments, set(world.ground.machines)
    assert moments >= 10
    for moment in range(1, moments + 1, 3 if cancels else 1):
        begin()
        interrupted(world, run.recipe, moment, cancels)
        tells_the_truth(world, whole, names)
        world.run(run.then(world.options))
        assert world.truth() == whole, f"ended at moment {moment}"
        assert not world.wrong, f"ended at moment {moment}"


@pytest.mark.parametrize("cancels", [False, True], ids=["killed", "stopped"])
@pytest.mark.parametrize("on", [True, False], ids=["start", "stop"])
def test_what_was_killed_while_it_switched_is_told_and_goes_on(world: World, on: bool, cancels: bool) -> None:
    """Who is on and who is off is asked of the machines each time, and nothing else is remembered of it."""

    def switched(options: recipes.Options) -> Coroutine[object, object, object]:
        return recipes.power(options, on)

    world.write(SMALL)
    world.up()
    if on:
        world.run(recipes.power(world.options, False))
    begin, remembered = world.snapshot(), world.remembered()
    world.run(switched(world.options))
    whole, moments = world.truth(), world.moments
    assert moments >= len(world.ground.machines)
    for moment in range(1, moments + 1):
        begin()
        interrupted(world, switched, moment, cancels)
        off = {name for name, machine in world.ground.machines.items() if not world.standing(name)}
        found = world.plan()
        assert {machine.machine for machine in found.machines if machine.off} == off, f"ended at moment {moment}"
        assert (found.births, found.removals) == ((), ())
        assert world.remembered() == remembered
        world.run(switched(world.options))
        assert world.truth() == whole, f"ended at moment {moment}"
    assert not [what for what in world.wrong if "nothing remembers" in what]


@pytest.mark.parametrize("cancels", [False, True], ids=["killed", "stopped"])
@pytest.mark.parametrize("name", ["gateway", "lb1", "cp1", "worker1"])
def test_a_replace_goes_on_with_the_machine_that_it_made(world: World, name: str, cancels: bool) -> None:
    world.write(SMALL)
    world.up()
    begin, old = world.snapshot(), world.ground.machines[name].born
    world.replace(name)
    whole, moments, kept = world.truth(), world.moments, 0
    for moment in range(1, moments + 1):
        begin()
        interrupted(world, replaced(name), moment, cancels)
        left = world.ground.machines.get(name)
        made = left.born if left and left.born != old and not left.unfinished else 0
        world.replace(name)
        assert world.truth() == whole, f"ended at moment {moment}"
        now = world.ground.machines[name].born
        assert now != old
        if moment < moments - 1:  # then it was seen to be well: another replace is another replace
            assert not made or now == made, f"ended at moment {moment}"
        kept += bool(made)
    assert kept > 2


def test_what_failed_is_made_once_more(world: World) -> None:
    """Whoever was made may be what is wrong: a run that failed is another thing than one that was cut short."""
    world.write(SMALL)
    world.up()
    born = world.ground.births
    world.ground.reach.on("worker1", "member", "me", raises=TransportError("it doesn't say"))
    for number in (1, 2):
        with pytest.raises(ExceptionGroup):
            world.replace("worker1")
        assert world.ground.births == born + number


@pytest.mark.parametrize(("before", "after"), [(FEW, SMALL), (SMALL, FEW)], ids=["more of all", "fewer of all"])
def test_what_was_begun_can_be_taken_back(world: World, before: str, after: str) -> None:
    world.write(before)
    world.up()
    begin, whole = world.snapshot(), world.truth()
    world.write(after)
    world.apply()
    moments = world.moments
    for moment in range(1, moments + 1, 2):
        begin()
        world.write(after)
        interrupted(world, recipes.apply, moment, cancels=False)
        world.write(before)
        world.apply()
        assert world.truth() == whole, f"killed at moment {moment}"
        # What was made and is unwanted again is in neither file: its provider alone remembers it until it is removed.
        assert all("nothing remembers" in what for what in world.wrong), f"killed at moment {moment}"
