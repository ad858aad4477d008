"""``up``, ``start``, ``stop`` and ``down``, whole: on a ground that is empty, and on one where all stands."""

from __future__ import annotations

from collections.abc import Callable, Coroutine

import pytest
from tests.unit.recipes.world import World

from groundplane import recipes
from groundplane.errors import StoreError
from groundplane.machines.base import Power
from groundplane.verify import Report

ALL = ["gateway", "lb1", "lb2", "cp1", "cp2", "cp3", "worker1"]
DOES = ("ensure", "apply", "remove", "stop", "found", "add", "dismiss", "destroy")


def test_up_makes_everything_the_gateway_first_and_once(world: World) -> None:
    report = world.up()
    assert isinstance(report, Report)
    assert report.ok
    assert report.changed
    journal = world.ground.journal
    assert journal[:3] == ["prepare", "ensure gateway", "wait gateway"]
    assert world.did("ensure") == [f"ensure {name}" for name in ALL]
    joins = world.did("found", "add")
    assert [entry for entry in joins if "cp" in entry] == ["found cp1", "add cp2", "add cp3"]
    assert sorted(world.members) == ["cp1", "cp2", "cp3", "worker1"]
    assert not world.wrong


def test_up_again_does_nothing_and_nothing_is_planned(built: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("groundplane.recipes.common.gathered", None)  # it must not even be asked for
    before = built.truth()
    assert built.up() == Report((), changed=False)
    assert not built.did(*DOES)
    assert built.plan().empty
    assert built.truth() == before


def test_up_switches_on_what_is_off_and_mends_what_differs(built: World) -> None:
    before = built.truth()
    built.ground.machines["worker1"].power = Power.OFF
    lb1 = built.ground.machines["lb1"]
    lb1.held = {at: had for at, had in lb1.held.items() if at[1] != "/etc/proxy"}
    assert [machine.machine for machine in built.plan().machines] == ["worker1", "lb1"]
    built.up()
    assert built.did("apply") == ["apply worker1", "apply lb1"]
    assert built.truth() == before


def test_machines_are_switched_off_and_on_by_name(built: World) -> None:
    before = built.truth()
    built.run(recipes.power(built.options, False, ["lb2", "worker1"]))
    assert sorted(built.did(*DOES)) == ["stop lb2", "stop worker1"]
    assert {name for name in ALL if not built.standing(name)} == {"lb2", "worker1"}
    built.run(recipes.power(built.options, True, ["lb2", "worker1"]))
    assert built.did("prepare", *DOES) == ["prepare", "ensure lb2", "ensure worker1"]
    assert built.truth() == before


def test_who_is_switched_on_stands_on_what_it_stood_on(built: World, monkeypatch: pytest.MonkeyPatch) -> None:
    before = {name: machine.material for name, machine in built.ground.machines.items()}
    built.run(recipes.power(built.options, False))
    monkeypatch.setattr("groundplane.recipes.standing.gathered", None)  # it must not even be asked for
    built.run(recipes.power(built.options, True))
    assert all(map(built.standing, ALL))
    assert all(machine.material is before[name] for name, machine in built.ground.machines.items())
    built.run(recipes.power(built.options, True))  # nor for who runs


def test_who_has_lost_that_is_started_with_todays(built: World) -> None:
    before = {name: machine.material for name, machine in built.ground.machines.items()}
    built.run(recipes.power(built.options, False))
    built.ground.machines["worker1"].material = None
    built.run(recipes.power(built.options, True))
    assert all(map(built.standing, ALL))
    changed = {name for name, machine in built.ground.machines.items() if machine.material is not before[name]}
    assert changed == {"worker1"}


def test_down_leaves_nothing(built: World) -> None:
    assert built.run(recipes.down(built.options))
    assert built.ground.journal == ["destroy"]
    assert not built.ground.machines
    assert not built.store.exists
    assert not built.run(recipes.down(built.options))


def test_nor_where_the_file_is_forgotten_as_well(built: World) -> None:
    """Its machines are there: they know other keys than would be made now."""
    for name in ("secrets.json", "spec.json"):
        (built.store.folder / name).unlink()
    with pytest.raises(StoreError, match="keys and certificates are lost"):
        built.run(recipes.up(built.options))
    assert not (built.store.folder / "secrets.json").exists()
    assert not built.ground.journal


@pytest.mark.parametrize("recipe", [recipes.plan, recipes.apply, recipes.status, recipes.up])
def test_lost_secrets_are_told_and_never_made_again(
    built: World, recipe: Callable[[recipes.Options], Coroutine[object, object, object]]
) -> None:
    (built.store.folder / "secrets.json").unlink()
    left = built.remembered()

    async def asked() -> object:
        return await recipe(built.options)

    with pytest.raises(StoreError, match="keys and certificates are lost"):
        built.run(asked())
    assert built.remembered() == left
    assert not built.ground.journal
