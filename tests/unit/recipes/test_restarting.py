"""What comes only with what a machine is made of: the gateway is switched off and on for its registry's images."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable, Coroutine
from dataclasses import replace

import pytest
from tests.unit.machines.scripted import Plain
from tests.unit.recipes.test_kills import interrupted, replaced
from tests.unit.recipes.test_recipes import SHAPES, designed
from tests.unit.recipes.world import SMALL, World

from groundplane import recipes
from groundplane.errors import ApplyError, BundleError, MachineError
from groundplane.events import silent
from groundplane.machines.base import Power
from groundplane.oci.layout import INDEX, REFERENCE, Descriptor, canonical
from groundplane.recipes import common, looking
from groundplane.rollout.plan import Plan, StepPlan
from groundplane.state.step import Step
from groundplane.topology.model import Topology

Recipe = Callable[[recipes.Options], Coroutine[object, object, object]]
DOES = ("prepare", "ensure", "apply", "remove", "stop", "found", "add", "dismiss", "destroy")
BY: dict[str, Recipe] = {"up": recipes.up, "apply": recipes.apply, "replace": replaced("worker1")}


def listed(**roles: str) -> str:
    """A file of these machines."""
    entries = (f"  - {{name: {name}, roles: [{its}]}}" for name, its in roles.items())
    return "\n".join(("name: lab", "balancers: {accept-single-point-of-failure: true}", "machines:", *entries, ""))


MANY = "balancer, control-plane, worker"
THREE = listed(cp1=f"gateway, {MANY}", cp2=MANY, cp3=MANY)
APP = Descriptor(INDEX, f"sha256:{'0' * 64}", 7, annotations=((REFERENCE, "example.org/app:1"),))
OWN = canonical({"schemaVersion": 2, "mediaType": INDEX, "manifests": [APP.to_json()]})


def newer(world: World, text: str = SMALL) -> World:
    """A platform that stands, whose gateway serves an older bundle's images."""
    world.write(text)
    world.up()
    world.plan()  # makes certificates with this file's names
    world.bundle = "two"
    return world


def given(monkeypatch: pytest.MonkeyPatch) -> None:
    """Somebody gives `up` an image of their own."""

    async def own_images(*_: object) -> bytes:
        return OWN

    monkeypatch.setattr(sys.modules["groundplane.recipes.up"], "own_images", own_images)


@pytest.mark.parametrize("by", BY)
def test_it_is_an_act_before_all_others(registry: World, by: str) -> None:
    world = newer(registry)
    found = world.plan()
    assert ([step.name for step in found.steps], found.restarted) == (["images"], ("gateway",))
    assert found.needs_material
    world.run(BY[by](world.options))
    assert world.did(*DOES)[:3] == ["prepare", "stop gateway", "ensure gateway"]
    assert world.did("stop") == ["stop gateway"]
    assert world.plan().empty
    assert not world.wrong


@pytest.mark.parametrize("by", ["up", "apply"])
@pytest.mark.parametrize("down", ["", "cp2"])
def test_a_gateway_that_is_more_is_restarted_where_it_can_be_spared(registry: World, by: str, down: str) -> None:
    world = newer(registry, THREE)
    if not down:
        world.run(BY[by](world.options))
        assert world.did("stop", "ensure cp1") == ["stop cp1", "ensure cp1"]
        assert not world.wrong
        return
    world.ground.machines[down].power = Power.OFF
    with pytest.raises(ApplyError, match="it can't be spared now: others do what cp1 does"):
        world.run(BY[by](world.options))
    assert not world.did(*DOES[1:])
    assert world.standing("cp1")


def test_nothing_is_remembered_before_it_is_known_that_it_can_be_spared(registry: World) -> None:
    world = newer(registry, THREE)
    before = world.truth()
    world.write(THREE + "sizes: {worker: {memory: 4GiB}}\n")
    world.unwell = {"cp3"}
    with pytest.raises(ApplyError, match="it can't be spared now: others are well when cp1 goes"):
        world.apply()
    assert not world.did(*DOES)
    assert world.truth() == before


def test_nor_is_anybody_made_anew(registry: World) -> None:
    world = newer(registry, THREE)
    before = world.truth()
    world.unwell = {"cp3"}
    with pytest.raises(ApplyError, match="it can't be spared now: others are well when cp1 goes"):
        world.replace("cp3")
    assert not world.did(*DOES[1:])
    assert world.truth() == before


def test_it_is_asked_again_when_its_turn_has_come(registry: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """A bundle may have been built since."""
    world = newer(registry, THREE)
    real = common.gathered

    async def gathered(*given: object) -> object:
        world.unwell = {"cp3"}
        return await real(*given)  # type: ignore[arg-type]

    monkeypatch.setattr(common, "gathered", gathered)
    with pytest.raises(ExceptionGroup) as failed:
        world.apply()
    assert failed.group_contains(ApplyError, match="must not be worked on now: others are well when cp1 goes")
    assert not world.did(*DOES[1:])


def test_nobody_is_worked_on_before_the_platform_is_well_again(registry: World) -> None:
    world = newer(registry)
    world.spoilt.add("proxy")
    with pytest.raises(ExceptionGroup) as failed:
        world.replace("worker1")
    assert failed.group_contains(ApplyError, match="is not well after its changes: proxy are well")
    assert world.did(*DOES[1:]) == ["stop gateway", "ensure gateway"]


def test_what_its_changes_mend_is_not_held_against_it(registry: World) -> None:
    world = newer(registry)
    world.write(SMALL.replace("worker: 1", "worker: 2"))
    world.spoilt.add("proxy")  # which is no affair of the gateway's change
    world.apply()
    assert world.did("stop", "apply") == ["stop gateway", "apply gateway"]


def test_who_has_come_to_serve_them_meanwhile_is_left_alone(registry: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world = newer(registry, THREE)
    real = common.gathered

    async def gathered(*given: object) -> object:
        material = await real(*given)  # type: ignore[arg-type]
        world.ground.machines["cp1"].material, world.unwell = material, {"cp3"}
        return material

    monkeypatch.setattr(common, "gathered", gathered)
    world.apply()
    assert not world.did("stop")


def test_a_gateway_that_is_made_anew_has_them_already(registry: World) -> None:
    world = newer(registry)
    world.replace("gateway")
    assert world.did("stop") == []
    assert world.plan().empty


def test_what_comes_is_not_waited_for(registry: World) -> None:
    one = {"cp1": "gateway, control-plane", "lb1": "balancer"}
    world = newer(registry, listed(**one))
    world.write(listed(**one, cp2="control-plane", cp3="control-plane"))
    world.apply()
    assert world.did("stop", "ensure cp2") == ["stop cp1", "ensure cp2"]
    assert world.plan().empty


def test_what_is_lost_is_missed(registry: World) -> None:
    world = newer(registry, THREE)
    del world.ground.machines["cp2"]
    with pytest.raises(ApplyError, match="it can't be spared now: others do what cp1 does"):
        world.apply()
    assert not world.did(*DOES)


def test_whom_nobody_can_switch_off_is_told_before_anything_is_touched() -> None:
    design = designed(SHAPES["lab"])
    lacking = Plan(steps=(StepPlan("registry-images", "gateway", "serve them", restarts=True),))
    with pytest.raises(MachineError, match="can't switch machines off"):
        asyncio.run(looking.spared(design, Plain(design.topology), lacking, silent))
    assert asyncio.run(looking.spared(design, Plain(design.topology), Plan(), silent)) == {}


@pytest.mark.parametrize("cancels", [False, True], ids=["killed", "stopped"])
@pytest.mark.parametrize("by", BY)
def test_what_was_killed_meanwhile_is_finished(registry: World, by: str, cancels: bool) -> None:
    world = newer(registry)
    begin = world.snapshot()
    world.run(BY[by](world.options))
    whole, moments = world.truth(), world.moments
    for moment in range(1, moments + 1):
        begin()
        interrupted(world, BY[by], moment, cancels)
        if world.plan().empty:
            assert world.truth() == whole
        world.run(BY[by](world.options))
        assert world.truth() == whole, f"ended at moment {moment}"
        assert world.served("gateway") == ("two",)
        assert not world.wrong, f"ended at moment {moment}"


# -- images of the user's own --------------------------------------------------------------------------------------


def test_images_of_ones_own_come_by_the_same_act(registry: World, monkeypatch: pytest.MonkeyPatch) -> None:
    registry.write(SMALL)
    registry.up()
    given(monkeypatch)
    registry.up()
    assert registry.did("stop", "ensure gateway") == ["stop gateway", "ensure gateway"]
    assert registry.store.images() == OWN
    assert registry.served("gateway") == ("one", APP.digest)
    assert registry.plan().empty


def test_they_are_remembered_only_where_they_can_be_brought(registry: World, monkeypatch: pytest.MonkeyPatch) -> None:
    registry.write(THREE)
    registry.up()
    given(monkeypatch)
    registry.unwell = {"cp3"}
    with pytest.raises(ApplyError, match="it can't be spared now"):
        registry.up()
    registry.unwell.clear()

    async def gathered(*_: object) -> None:
        raise BundleError("the platform has another example.org/app:1 of its own")

    monkeypatch.setattr(common, "gathered", gathered)
    with pytest.raises(BundleError):
        registry.up()
    assert not registry.did(*DOES[1:])
    assert "images.json" not in registry.remembered()
    assert registry.plan().empty


def test_what_was_killed_while_it_brought_them_is_told_and_finished_without_them(
    registry: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    registry.write(SMALL)
    registry.up()
    begin = registry.snapshot()
    with monkeypatch.context() as patch:
        given(patch)
        registry.up()
    whole, moments = registry.truth(), registry.moments
    for moment in range(1, moments + 1):
        begin()
        with monkeypatch.context() as patch:
            given(patch)
            interrupted(registry, recipes.up, moment, cancels=False)
        registry.run(recipes.power(registry.options, True))
        registry.up()
        if registry.store.images():
            assert registry.truth() == whole, f"killed at moment {moment}"
        assert registry.served("gateway") == (("one", APP.digest) if registry.store.images() else ("one",))
        assert registry.plan().empty


def test_nobody_misses_the_gateway_of_a_platform_that_is_being_built(
    registry: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    *others, members = registry.components()

    def steps(topology: Topology) -> tuple[Step, ...]:
        return tuple(replace(step, founds=step.name == "found") for step in members.steps(topology))

    founding = (*others, replace(members, steps=steps), registry.registry())
    monkeypatch.setattr("groundplane.design.COMPONENTS", founding)
    registry.write(THREE)
    registry.ground.reach.on("cp1", "member", "found", status=1)
    with pytest.raises(ExceptionGroup):
        registry.up()
    assert registry.standing("cp1")
    registry.ground.reach.on("cp1", "member", "found", then=registry.member)
    given(monkeypatch)
    registry.up()
    assert registry.did("stop") == ["stop cp1"]
    assert registry.plan().empty
