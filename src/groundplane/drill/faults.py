"""What drills break things through. Whatever was broken is mended again, however the drill ends.

async with Scene(ground, emit) as scene:
    await scene.power_off("lb1")        # stamps ``scene.began``; remembers how to mend it
    ...
    await scene.mend()                  # at the latest when the block ends
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from time import monotonic
from types import TracebackType
from typing import Final, Protocol

from groundplane.components.etcd.views import View, views
from groundplane.components.pacemaker.status import holder
from groundplane.errors import GroundplaneError, MachineError
from groundplane.events import Emit, reported
from groundplane.machines.base import Blueprint, Faults, OnLan, PowerSwitch, Provider
from groundplane.spec.roles import Role
from groundplane.state.step import Completed, Reach
from groundplane.topology.model import Machine, Topology
from groundplane.verify.check import Check

BOOT: Final = 180.0
"""Seconds a machine may take from its power button to being ready."""


class Operator(Protocol):
    """Who runs other commands of ours while a drill goes on."""

    async def offer(self, machine: str, path: str, content: bytes) -> str:
        """Begin an apply in which a machine's file has another ``content``, up to where the first machine would be
        touched; why it was refused, empty where it was not."""

    async def make_anew(self, machine: str) -> None:
        """Have another machine take the place of one that is gone."""

    async def add(self, roles: Sequence[Role]) -> None:
        """Add a machine for each of ``roles``, as if the file had them."""

    async def take_away(self) -> None:
        """Make the platform as its file says: whatever was added goes."""


@dataclass(frozen=True, slots=True)
class Ground:
    """The platform a drill happens on: its design, its machines, how they can be broken, and who works on it."""

    topology: Topology
    provider: Provider
    faults: Faults
    switch: PowerSwitch
    lan: OnLan
    blueprints: Mapping[str, Blueprint]
    checks: tuple[Check, ...]
    operator: Operator

    @property
    def reach(self) -> Reach:
        return self.provider.transport


def ground_of(
    topology: Topology, provider: Provider, blueprints: Sequence[Blueprint], checks: Sequence[Check], operator: Operator
) -> Ground:
    """The ground of a platform; MachineError where its provider can't break anything, or not have it watched."""
    by_machine = {blueprint.state.machine: blueprint for blueprint in blueprints}
    # One by one: each question narrows the type for mypy, an intersection of three can't be written down.
    if (faults := provider if isinstance(provider, Faults) else None) is None:
        raise _unfit("cut machines off and freeze them")
    if (switch := provider if isinstance(provider, PowerSwitch) else None) is None:
        raise _unfit("cut machines' power")
    if (lan := provider if isinstance(provider, OnLan) else None) is None:
        raise _unfit("put this computer on the machines' LAN, where clients are watched")
    return Ground(topology, provider, faults, switch, lan, by_machine, tuple(checks), operator)


def _unfit(lacks: str) -> MachineError:
    return MachineError(
        f"machines of this provider can't be broken on purpose: it can't {lacks}",
        hint="do drills on a platform whose provider can; `groundplane explain provider` lists all there are",
    )


Undo = Callable[[], Awaitable[None]]


class Scene:
    """One drill's doings. ``began`` is when the fault was there, ``acts`` tells in words what was done, and
    ``refusals`` why each machine's apply was refused (empty: it was not). ``struck`` are the machines that were off,
    hung or cut off for a while: what clients on them notice says nothing about the others."""

    def __init__(self, ground: Ground, emit: Emit) -> None:
        self.ground = ground
        self.began: float | None = None
        self.acts: list[str] = []
        self.refusals: dict[str, str] = {}
        self._emit = emit
        self._undoes: list[tuple[str, Undo]] = []
        self._off: set[str] = set()
        self.struck: set[str] = set()

    async def __aenter__(self) -> Scene:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.mend()

    @property
    def topology(self) -> Topology:
        return self.ground.topology

    @property
    def running(self) -> tuple[Machine, ...]:
        """The machines that this drill hasn't switched off."""
        return tuple(machine for machine in self.topology.machines if machine.name not in self._off)

    # ---- looking ------------------------------------------------------------------------------------------------

    async def active(self) -> Machine:
        """The balancer that holds the floating address."""
        name = await holder(self.ground.reach, self.topology)
        if name is None:
            raise MachineError("no balancer holds the floating address", hint="see `groundplane status`")
        return self.topology.machine(name)

    async def standby(self) -> Machine:
        """The first balancer that doesn't."""
        active = await self.active()
        return next(machine for machine in self.topology.balancers if machine != active)

    async def etcd_leader(self) -> Machine:
        """The control plane whose etcd leads: the one that is missed most."""
        for view in await views(self.ground.reach, self.topology):
            if isinstance(view, View) and view.leader == view.id:
                return self.topology.machine(view.machine)
        raise MachineError("etcd has no leader", hint="see `groundplane status`")

    def content(self, machine: Machine, path: str) -> bytes:
        """What a file of the machine's should hold."""
        return next(file.content for file in self.ground.blueprints[machine.name].state.files if file.path == path)

    async def run(self, machine: Machine, *argv: str) -> Completed:
        """Run a command that breaks nothing."""
        return await self.ground.reach.run(machine.name, argv, timeout=30)

    # ---- breaking -----------------------------------------------------------------------------------------------

    def begin(self, words: str) -> None:
        """Say what is broken from this moment on, or what is tried from then on and must be refused."""
        self.acts.append(words)
        if self.began is None:
            self.began = monotonic()

    async def command(self, machine: Machine, words: str, *argv: str, undo: Sequence[str] = ()) -> None:
        """Break something with a command on the machine; ``undo`` is the command that mends it."""
        reach = self.ground.reach
        if undo:
            self._later(f"mend {machine.name}", lambda: _run(reach, machine.name, undo))
        self.begin(f"{machine.name}: {words}")
        await reach.run(machine.name, argv, timeout=30)

    async def offer(self, machine: Machine, path: str, spoil: Callable[[bytes], bytes]) -> None:
        """Begin an apply in which the machine's file is spoilt; ``refusals`` keeps why it was refused."""
        self.begin(f"{machine.name}: an apply brings a spoilt {path}")
        spoilt = spoil(self.content(machine, path))
        self.refusals[machine.name] = await self.ground.operator.offer(machine.name, path, spoilt)

    async def power_off(self, *machines: Machine) -> None:
        """Cut their power, all at once."""
        names = [machine.name for machine in machines]
        self._later(f"switch {', '.join(names)} on", lambda: self._power_on(names))
        self._off.update(names)
        self.struck.update(names)
        self.begin(f"{', '.join(names)}: power cut")
        await asyncio.gather(*(self.ground.switch.stop(name, force=True) for name in names))

    async def lose(self, machine: Machine) -> None:
        """Cut its power, and let nothing of it be left; another one takes its place."""
        self.struck.add(machine.name)
        self._later(f"make {machine.name} anew", lambda: self._make_anew(machine.name))
        self._off.add(machine.name)
        self.begin(f"{machine.name}: gone for good, with its disk")
        await self.ground.switch.stop(machine.name, force=True)
        await self.ground.provider.remove(machine.name)

    async def add(self, *roles: Role) -> None:
        """Add machines, which are taken away again."""
        self._later("take away what was added", self.ground.operator.take_away)
        self.begin(f"the platform gets {', '.join(f'another {role}' for role in roles)}")
        await self.ground.operator.add(roles)

    async def freeze(self, machine: Machine) -> None:
        """Let everything on the machine hang."""
        self.struck.add(machine.name)
        self._later(f"thaw {machine.name}", lambda: self.ground.faults.thaw(machine.name))
        self.begin(f"{machine.name}: every process stands still")
        await self.ground.faults.freeze(machine.name)

    async def cut(self, machine: Machine, peer: Machine | None = None) -> None:
        """Cut the machine's network, to one peer or to everybody."""
        self.struck.update(each.name for each in (machine, peer) if each is not None)
        self._later(f"mend the network of {machine.name}", self.ground.faults.mend)
        self.begin(f"{machine.name}: cut off from {peer.name if peer is not None else 'everybody'}")
        await self.ground.faults.cut(machine.name, peer.name if peer is not None else "")

    async def mend(self) -> bool:
        """Undo what was done, last first; return whether anything was to be undone. Every failure is kept."""
        mended = bool(self._undoes)
        failures: list[Exception] = []
        while self._undoes:
            words, undo = self._undoes[-1]
            try:
                with reported(self._emit, "drill", words):
                    await undo()
                self.acts.append(f"then: {words}")
            except (GroundplaneError, ExceptionGroup) as error:
                failures.append(error)
            self._undoes.pop()  # not before: who is asked to stop meanwhile begins it again
        if failures:
            raise ExceptionGroup("the drill could not mend what it broke: run `groundplane up`", failures)
        return mended

    async def _make_anew(self, machine: str) -> None:
        await self.ground.operator.make_anew(machine)
        self._off.discard(machine)

    async def _power_on(self, names: Sequence[str]) -> None:
        async def one(name: str) -> None:
            await self.ground.provider.ensure(name, self.ground.blueprints[name])
            await self.ground.provider.wait_ready(name, deadline=BOOT)

        async with asyncio.TaskGroup() as group:
            for name in names:
                group.create_task(one(name))
        self._off.difference_update(names)

    def _later(self, words: str, undo: Undo) -> None:
        # Before the fault: an undo of what didn't happen does nothing, a fault without one stays.
        self._undoes.append((words, undo))


async def _run(reach: Reach, machine: str, argv: Sequence[str]) -> None:
    await reach.run(machine, argv, timeout=30)
