"""Programs of today's bundle, others than the platform remembers: what is done is decided with those at hand."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace

import pytest
from tests.unit.recipes.world import SMALL, World

from groundplane import recipes
from groundplane.components.base import Component
from groundplane.errors import ApplyError
from groundplane.machines.base import Power, Tree
from groundplane.recipes import common
from groundplane.rollout.plan import Plan
from groundplane.software import Program
from groundplane.state.change import Kind
from groundplane.state.model import Artifact, Fragment

TOOL = "/usr/local/bin/tool"
OLD, NEW = (Program(TOOL, f"sha256:{digit * 64}", 7) for digit in "01")
NODES = ["cp1", "cp2", "cp3", "worker1"]
GROWN = SMALL.replace("worker: 1", "worker: 2")
DOES = ("ensure", "apply", "remove", "stop", "found", "add", "dismiss")


@pytest.fixture
def today(world: World, monkeypatch: pytest.MonkeyPatch) -> dict[str, Program]:
    """What today's bundle has, and what the cache knows of it; a platform stands that was built of the old one."""
    found = {"bundle": OLD}

    async def bundled(*_: object) -> tuple[Mapping[Tree, Path], tuple[Program, ...]]:
        found["cache"] = found["bundle"]
        return {Tree.SOFTWARE: Path("software")}, (found["bundle"],)

    def cached(*_: object) -> object:
        return SimpleNamespace(binaries=(found["cache"],)) if "cache" in found else None

    tool = Component(
        "tool", lambda _, machine: Fragment("tool", (Artifact("tool", TOOL),)) if machine.is_node else None
    )
    monkeypatch.setattr("groundplane.design.COMPONENTS", (*world.components(), tool))
    monkeypatch.setattr("groundplane.bundle.obtain.cached_bundle", cached)
    monkeypatch.setattr(common, "_bundled", bundled)
    world.ground.material = frozenset({Tree.SOFTWARE})
    world.store.remember_programs([OLD])
    world.up()
    assert world.plan().empty
    found["bundle"] = NEW
    del found["cache"]
    return found


def has(world: World) -> dict[str, str]:
    """The digest of each node's program."""
    held = {name: world.ground.machines[name].held[Kind.ARTIFACT, TOOL] for name in sorted(world.members)}
    return {name: one.digest for name, (one, *_) in held.items() if isinstance(one, Artifact)}


def changed(plan: Plan) -> list[str]:
    return sorted(machine.machine for machine in plan.machines)


def test_up_brings_to_all_what_it_makes_one_of(world: World, today: dict[str, Program]) -> None:
    del world.ground.machines["worker1"]
    world.up()
    assert has(world) == dict.fromkeys(NODES, NEW.digest)
    assert world.store.programs() == (NEW,)
    assert world.plan().empty
    assert not world.wrong


def test_who_was_off_is_asked_for_what_it_was_started_with(world: World, today: dict[str, Program]) -> None:
    for machine in world.ground.machines.values():
        machine.power = Power.OFF
    world.up()
    assert has(world) == dict.fromkeys(NODES, NEW.digest)
    assert world.plan().empty


def test_what_was_not_shown_is_not_done_and_shown_from_then_on(world: World, today: dict[str, Program]) -> None:
    world.write(GROWN)
    shown = world.plan()
    assert not {"cp1", "cp2", "cp3", "worker1"} & set(changed(shown))
    before = world.truth()
    with pytest.raises(ApplyError, match="other programs than the platform remembers") as caught:
        world.run(recipes.apply(world.options, shown))
    assert "groundplane plan" in caught.value.hint
    assert world.truth() == before
    assert not world.did("prepare", *DOES)
    shown = world.plan()
    assert {"cp1", "cp2", "cp3", "worker1"} <= set(changed(shown))
    assert [birth.machine for birth in shown.births] == ["worker2"]
    assert world.store.programs() == (OLD,)
    world.run(recipes.apply(world.options, shown))
    assert has(world) == dict.fromkeys([*NODES, "worker2"], NEW.digest)
    assert world.plan().empty
    assert not world.wrong


def test_who_agrees_to_anything_gets_all_of_it(world: World, today: dict[str, Program]) -> None:
    world.write(GROWN)
    world.apply()
    assert has(world) == dict.fromkeys([*NODES, "worker2"], NEW.digest)
    assert world.plan().empty


def test_what_needs_no_bundle_brings_none(world: World, today: dict[str, Program]) -> None:
    today["cache"] = NEW
    assert world.plan().empty
    lb1 = world.ground.machines["lb1"]
    lb1.held = {at: had for at, had in lb1.held.items() if at[1] != "/etc/proxy"}
    assert changed(world.plan()) == ["lb1"]
    world.apply()
    assert world.did(*DOES[1:]) == ["apply lb1"]
    assert world.store.programs() == (OLD,)


def test_who_is_made_anew_has_what_is_remembered_and_the_others_are_told(
    world: World, today: dict[str, Program]
) -> None:
    world.replace("worker1")
    assert not world.did("apply")
    assert has(world) == {**dict.fromkeys(NODES, OLD.digest), "worker1": NEW.digest}
    assert world.store.programs() == (NEW,)
    assert changed(world.plan()) == ["cp1", "cp2", "cp3"]
    world.apply()
    assert has(world) == dict.fromkeys(NODES, NEW.digest)
    assert world.plan().empty
    assert not world.wrong
