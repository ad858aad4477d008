"""``verify``, ``drain`` and ``undrain``, whole: what is remembered of it, and what the cluster is asked for."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace

from tests.unit.recipes.world import PATIENCE as LOOKS
from tests.unit.recipes.world import World

from groundplane import recipes
from groundplane.events import Event, Noticed
from groundplane.recipes.standing import PATIENCE
from groundplane.verify import Report


def verified(world: World, *only: str) -> Report:
    return world.run(recipes.verify(world.options, only))


def test_what_verify_finds_is_remembered(built: World) -> None:
    before = built.truth()
    built.red.add("proxy")
    assert verified(built).fault == "proxy failed"
    found = built.plan()
    assert (found.unverified, found.empty, found.machines, found.steps) == (True, False, (), ())
    built.red.clear()
    assert verified(built, "proxy").ok
    assert built.plan().unverified, "a part that holds says nothing of the rest"
    assert verified(built).ok
    assert built.plan().empty
    assert built.truth() == before


def test_a_part_that_does_not_hold_is_enough(built: World) -> None:
    built.red.add("proxy")
    assert verified(built, "names").ok
    assert built.plan().empty
    assert not verified(built, "proxy").ok
    assert built.plan().unverified


def beside(world: World, seconds: float, then: Callable[[], None] = lambda: None) -> list[str]:
    """What is told of a verify while somebody else works on the platform for so long, and does ``then`` at last."""
    told: list[Event] = []

    async def work() -> None:
        with world.store.lock("drain worker1"):
            await asyncio.sleep(seconds)
            then()

    async def main() -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(work())
            await asyncio.sleep(0)
            await recipes.verify(replace(world.options, emit=told.append))

    world.run(main())
    return [event.note for event in told if isinstance(event, Noticed)]


def test_what_was_red_is_remembered_beside_somebody_who_verifies_nothing(built: World) -> None:
    built.red.add("proxy")
    assert not beside(built, LOOKS + 3)
    assert built.plan().unverified


def test_it_is_told_where_that_takes_long(built: World) -> None:
    built.red.add("proxy")
    (told,) = beside(built, LOOKS + PATIENCE + 3)
    assert told.startswith("not remembered, another groundplane works on this platform: `drain worker1`")
    assert built.plan().empty


def test_it_takes_nothing_from_what_was_found_well_meanwhile(built: World) -> None:
    built.red.add("proxy")
    assert not beside(built, LOOKS + 3, lambda: built.store.set_verified(True))
    assert built.plan().empty


def test_it_makes_no_platform_of_one_that_was_removed_meanwhile(built: World) -> None:
    built.red.add("proxy")
    beside(built, LOOKS + 3, built.store.forget)
    assert not built.store.exists


def test_that_it_was_well_says_nothing_of_what_somebody_is_doing_to_it(built: World) -> None:
    built.store.set_verified(False)
    (told,) = beside(built, 3)
    assert told.startswith("not remembered")
    assert built.plan().unverified
