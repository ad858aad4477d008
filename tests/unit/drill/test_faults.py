"""Whatever a drill broke is mended again, last first, however it ends."""

from __future__ import annotations

import asyncio

import pytest
from tests.unit.drill.made import Breakable, Hands, topology

from groundplane.cloudinit.seed import Seed
from groundplane.drill.faults import Scene, ground_of
from groundplane.errors import MachineError
from groundplane.events import Event, Finished, silent
from groundplane.machines.base import Blueprint
from groundplane.state.model import MachineState


class Plain:
    """A provider that can't break anything."""


def blueprints() -> tuple[Blueprint, ...]:
    return tuple(Blueprint(MachineState(machine.name, ()), Seed(b"", b"", b"")) for machine in topology().machines)


def scene_of(provider: Breakable) -> Scene:
    return Scene(ground_of(topology(), provider, blueprints(), (), Hands([])), silent)


def test_faults_are_mended_last_first() -> None:
    provider = Breakable()
    lb1, lb2 = topology().balancers

    async def main() -> Scene:
        async with scene_of(provider) as scene:
            await scene.power_off(lb1)
            await scene.freeze(lb2)
            await scene.cut(topology().gateway, lb2)
        return scene

    scene = asyncio.run(main())
    assert provider.asked == [
        "stop lb1 at once",
        "freeze lb2",
        "cut gateway from lb2",
        "mend",
        "thaw lb2",
        "ensure lb1",
        "wait lb1",
    ]
    assert scene.acts[:2] == ["lb1: power cut", "lb2: every process stands still"]
    assert scene.acts[-1] == "then: switch lb1 on"


@pytest.mark.parametrize("error", [RuntimeError("wrong"), asyncio.CancelledError(), KeyboardInterrupt()])
def test_faults_are_mended_whatever_ends_the_drill(error: BaseException) -> None:
    provider = Breakable()

    async def main() -> None:
        async with scene_of(provider) as scene:
            await scene.freeze(topology().balancers[0])
            raise error

    with pytest.raises(type(error)):
        asyncio.run(main())
    assert provider.asked == ["freeze lb1", "thaw lb1"]


def test_a_fault_that_went_wrong_half_way_is_mended_too() -> None:
    provider = Breakable()
    provider.error = MachineError("not frozen in time", where="lb1")

    async def main() -> None:
        async with scene_of(provider) as scene:
            try:
                await scene.freeze(topology().balancers[0])
            finally:
                provider.error = None

    with pytest.raises(MachineError):
        asyncio.run(main())
    assert provider.asked == ["freeze lb1", "thaw lb1"]


def test_what_cannot_be_mended_keeps_nothing_else_broken() -> None:
    provider = Breakable()

    async def main() -> None:
        async with scene_of(provider) as scene:
            await scene.cut(topology().balancers[0])
            await scene.freeze(topology().balancers[1])
            provider.error = MachineError("no", where="lb2")

    with pytest.raises(ExceptionGroup, match="groundplane up") as caught:
        asyncio.run(main())
    assert len(caught.value.exceptions) == 2
    assert provider.asked[-2:] == ["thaw lb2", "mend"]


def test_mending_twice_mends_once_and_says_whether_anything_was() -> None:
    provider = Breakable()
    seen: list[Event] = []

    async def main() -> tuple[bool, bool]:
        async with Scene(ground_of(topology(), provider, (), (), Hands([])), seen.append) as scene:
            await scene.cut(topology().balancers[0])
            return await scene.mend(), await scene.mend()

    assert asyncio.run(main()) == (True, False)
    assert provider.asked == ["cut lb1 from all", "mend"]
    assert [event.step for event in seen if isinstance(event, Finished)] == ["mend the network of lb1"]


def test_who_is_asked_to_stop_while_he_mends_still_mends() -> None:
    provider = Breakable()

    class Stopped(Hands):
        async def make_anew(self, machine: str) -> None:
            await super().make_anew(machine)
            if self.asked.count(f"make {machine} anew") == 1:
                raise asyncio.CancelledError

    async def main() -> None:
        async with Scene(ground_of(topology(), provider, (), (), Stopped(provider.asked)), silent) as scene:
            await scene.freeze(topology().balancers[0])
            await scene.lose(topology().machine("cp1"))
            await scene.mend()

    with pytest.raises(asyncio.CancelledError):
        asyncio.run(main())
    lost = ["stop cp1 at once", "remove cp1"]
    assert provider.asked == ["freeze lb1", *lost, "make cp1 anew", "make cp1 anew", "thaw lb1"]


def test_all_that_goes_wrong_at_making_anew_is_kept_and_the_rest_mended() -> None:
    provider = Breakable()

    class Failing(Hands):
        async def make_anew(self, machine: str) -> None:
            raise ExceptionGroup("not everything could be carried out", [MachineError("no room", where=machine)])

    async def main() -> None:
        async with Scene(ground_of(topology(), provider, (), (), Failing([])), silent) as scene:
            await scene.freeze(topology().balancers[0])
            await scene.lose(topology().machine("cp1"))

    with pytest.raises(ExceptionGroup, match="groundplane up"):
        asyncio.run(main())
    assert provider.asked[-1] == "thaw lb1"


def test_the_fault_begins_before_it_is_made_and_only_once() -> None:
    provider = Breakable()

    async def main() -> tuple[float | None, float | None]:
        async with scene_of(provider) as scene:
            assert scene.began is None
            await scene.freeze(topology().balancers[0])
            first = scene.began
            await scene.freeze(topology().balancers[1])
            return first, scene.began

    first, second = asyncio.run(main())
    assert first is not None
    assert first == second


def test_machines_that_are_off_are_not_among_the_running() -> None:
    provider = Breakable()

    async def main() -> tuple[int, int]:
        async with scene_of(provider) as scene:
            await scene.power_off(*topology().balancers)
            off = len(scene.running)
            await scene.mend()
            return off, len(scene.running)

    assert asyncio.run(main()) == (6, 8)


def test_a_provider_without_faults_is_refused() -> None:
    with pytest.raises(MachineError, match="can't be broken"):
        ground_of(topology(), Plain(), (), (), Hands([]))  # type: ignore[arg-type]
