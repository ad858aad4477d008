"""What a drill has done by the recipes: a machine that is gone is made anew, machines are added and taken away."""

from __future__ import annotations

from collections.abc import Callable, Coroutine

import pytest
from tests.unit.recipes.test_kills import interrupted
from tests.unit.recipes.world import SMALL, World

from groundplane import recipes
from groundplane.errors import FileChanged
from groundplane.recipes.common import existing, gathered, provider_for
from groundplane.recipes.drill import ByRecipes
from groundplane.spec.roles import Role

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
