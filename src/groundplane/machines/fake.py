"""A ground of the imagination: for tests, and shipped so that everybody's tests use the same one.

    ground = FakeGround()
    ground.reach.on("cp1", "kubeadm", "init")             # what its machines answer; see transport/fake.py
    provider = ground.provider(topology, Material({}), folder, emit)
    await provider.prepare()
    await provider.ensure("gateway", blueprint)
    ground.journal                                        # ["prepare", "ensure gateway"]

It is a kind of provider, and its machines outlive whoever works on them, like real ones: each has an identity, power,
a size, and the resources it was born with or last brought to. The agent is answered from these, so a look finds what
differs and an apply changes it, one resource after the other. A machine that is frozen, or cut off from everybody,
doesn't answer. ``moment`` is told before and after everything that can change a machine; who raises there ends the work
at that point.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields
from ipaddress import IPv4Address
from pathlib import Path
from typing import Final

from groundplane.errors import MachineError, Unreachable
from groundplane.events import Emit
from groundplane.machines.base import Blueprint, HostFinding, Identity, MachineStatus, Material, Power, Size, Tree
from groundplane.state.change import Action, Change, Done, Ended, Kind
from groundplane.state.compose import key_of
from groundplane.state.model import MachineState, Resource, Unit
from groundplane.state.step import Completed
from groundplane.state.wire import event_to_line, state_from_bytes
from groundplane.topology.model import Machine, Topology, Traits
from groundplane.transport.fake import Call, FakeTransport

Held = Mapping[tuple[Kind, str], tuple[Resource, ...]]
"""What a machine has, by kind and key. A unit comes with what it had read when it was last started."""

_KINDS: Final[Mapping[str, Kind]] = {
    "files": Kind.FILE,
    "directories": Kind.DIRECTORY,
    "packages": Kind.PACKAGE,
    "units": Kind.UNIT,
    "sysctls": Kind.SYSCTL,
    "artifacts": Kind.ARTIFACT,
    "data_folders": Kind.DATA_FOLDER,
    "mounts": Kind.MOUNT,
    "users": Kind.USER,
    "links": Kind.LINK,
    "volumes": Kind.VOLUME,
    "addresses": Kind.ADDRESS,
    "host_names": Kind.HOST_NAME,
}


@dataclass(slots=True)
class FakeMachine:
    """One machine. ``born`` numbers all that were ever made, so that another one of the same name can be told."""

    identity: Identity
    size: tuple[float, float]  # processors, bytes; infinite where there is no limit
    born: int
    held: Held = field(default_factory=dict)
    power: Power = Power.OFF
    material: Material | None = None  # what it stands on since it was last started
    booted: bool = False  # its first boot is done
    unfinished: bool = True  # it is being made or removed
    mute: bool = False  # it runs but doesn't answer
    frozen: bool = False
    cut_from: frozenset[str] = frozenset()  # machines; "": everybody

    @property
    def answers(self) -> bool:
        return self.power is Power.RUNNING and not (self.mute or self.frozen or "" in self.cut_from)


def _nothing(_: str) -> None:
    """For those whom moments don't concern."""


@dataclass(slots=True)
class FakeGround:
    """A ProviderKind with the machines of one platform. ``journal`` is what their provider, and the agents on them,
    were asked to do, in order."""

    moment: Callable[[str], None] = _nothing
    machines: dict[str, FakeMachine] = field(default_factory=dict)
    journal: list[str] = field(default_factory=list)
    prepared: bool = False
    births: int = 0
    reach: FakeTransport = field(init=False)
    needs_root: bool = False
    expendable: bool = True
    material: frozenset[Tree] = frozenset()

    def __post_init__(self) -> None:
        self.reach = _Reach(self)

    def traits(self) -> Traits:
        return Traits()

    def examine(self, state: Path) -> tuple[HostFinding, ...]:
        return ()

    def provider(self, topology: Topology, material: Material | None, folder: Path, emit: Emit) -> FakeProvider:
        return FakeProvider(self, topology, material)

    async def at(self, words: str) -> None:
        """One moment; everybody else may go on meanwhile."""
        self.moment(words)
        await asyncio.sleep(0)

    async def asked(self, words: str) -> None:
        self.journal.append(words)
        await self.at(words)

    def reached(self, machine: str) -> FakeMachine:
        """The machine, if it answers."""
        found = self.machines.get(machine)
        if found is None or not found.answers:
            raise Unreachable("it doesn't answer", where=machine)
        return found


@dataclass(frozen=True, slots=True)
class FakeProvider:
    """The Provider of one run, with a power switch, faults, and a LAN that no program reaches. It makes machines only
    where it was given material, and starts them with that or with what they stood on."""

    ground: FakeGround
    topology: Topology
    given: Material | None

    @property
    def transport(self) -> FakeTransport:
        return self.ground.reach

    async def prepare(self) -> None:
        await self.ground.asked("prepare")
        for found in self.ground.machines.values():
            found.frozen, found.cut_from = False, frozenset()
        self.ground.prepared = True
        await self.ground.at("prepared")

    async def ensure(self, machine: str, blueprint: Blueprint) -> bool:
        await self.ground.asked(f"ensure {machine}")
        wanted, found = self.topology.machine(machine), self.ground.machines.get(machine)
        if found is not None and found.power is Power.RUNNING:
            found.size = (wanted.cpus, wanted.memory)
            await self.ground.at(f"sized {machine}")
            return False
        material = self.given or (found.material if found and not found.unfinished else None)
        if material is None or not self.ground.prepared:
            raise MachineError("it can't be started from here: nothing is prepared for it", where=machine)
        if found is None or found.unfinished:
            found = await self._made(wanted, blueprint)
        found.size = (wanted.cpus, wanted.memory)
        found.power, found.material = Power.RUNNING, material
        await self.ground.at(f"started {machine}")
        return True

    async def _made(self, wanted: Machine, blueprint: Blueprint) -> FakeMachine:
        self.ground.births += 1
        identity = Identity(wanted.name, wanted.roles, wanted.mac, wanted.address)
        found = FakeMachine(identity, (wanted.cpus, wanted.memory), self.ground.births)
        self.ground.machines[wanted.name] = found
        await self.ground.at(f"begun {wanted.name}")
        found.held, found.unfinished = held(blueprint.state), False
        await self.ground.at(f"made {wanted.name}")
        return found

    async def wait_ready(self, machine: str, *, deadline: float = 180, strict: bool = True) -> str:
        await self.ground.asked(f"wait {machine}")
        self._running(machine).booted = True
        await self.ground.at(f"ready {machine}")
        return "running"

    async def stop(self, machine: str, *, force: bool = False) -> None:
        await self.ground.asked(f"stop {machine}{' at once' if force else ''}")
        await self._off(machine)

    async def freeze(self, machine: str) -> None:
        await self.ground.asked(f"freeze {machine}")
        self._running(machine).frozen = True
        await self.ground.at(f"frozen {machine}")

    async def thaw(self, machine: str) -> None:
        await self.ground.asked(f"thaw {machine}")
        if machine in self.ground.machines:
            self.ground.machines[machine].frozen = False
            await self.ground.at(f"thawed {machine}")

    async def cut(self, machine: str, peer: str = "") -> None:
        await self.ground.asked(f"cut {machine} from {peer or 'everybody'}")
        self._running(machine).cut_from |= {peer}
        await self.ground.at(f"cut {machine}")

    async def mend(self) -> None:
        await self.ground.asked("mend")
        for found in self.ground.machines.values():
            found.cut_from = frozenset()
        await self.ground.at("mended")

    @property
    def operator_address(self) -> IPv4Address:
        return self.topology.lan.range[-2]

    def on_lan(self, argv: Sequence[str]) -> tuple[str, ...]:
        return ("on-lan", *argv)  # a program that nobody has

    async def remove(self, machine: str) -> None:
        await self.ground.asked(f"remove {machine}")
        await self._removed(machine)

    async def destroy(self) -> None:
        await self.ground.asked("destroy")
        for machine in sorted(self.ground.machines):
            await self._removed(machine)
        self.ground.prepared = False
        await self.ground.at("destroyed")

    async def _removed(self, machine: str) -> None:
        await self._off(machine)
        if machine in self.ground.machines:
            self.ground.machines[machine].unfinished = True
            await self.ground.at(f"emptied {machine}")
            del self.ground.machines[machine]
            await self.ground.at(f"removed {machine}")

    async def _off(self, machine: str) -> None:
        if machine in self.ground.machines:
            self.ground.machines[machine].power, self.ground.machines[machine].frozen = Power.OFF, False
            await self.ground.at(f"off {machine}")

    def _running(self, machine: str) -> FakeMachine:
        found = self.ground.machines.get(machine)
        if found is None or found.power is not Power.RUNNING:
            raise MachineError("it doesn't run", where=machine)
        return found

    def remains(self) -> bool:
        return bool(self.ground.machines) or self.ground.prepared

    def status(self) -> tuple[MachineStatus, ...]:
        wanted = [machine.name for machine in self.topology.machines]
        return tuple(self._status(name) for name in (*wanted, *sorted(set(self.ground.machines) - set(wanted))))

    def _status(self, name: str) -> MachineStatus:
        found = self.ground.machines.get(name)
        if found is None:
            return MachineStatus(name, Power.ABSENT)
        power = Power.ABSENT if found.unfinished and found.power is Power.OFF else found.power
        size = Size(*found.size) if power is Power.RUNNING else Size()
        return MachineStatus(
            name,
            power,
            identity=found.identity,
            unfinished=found.unfinished,
            size=size,
            startable=found.material is not None,
        )

    def api_endpoint(self) -> tuple[str, int]:
        return "127.0.0.1", 6443


class _Reach(FakeTransport):
    """The way to the machines of ``ground``: none where one doesn't run, the agent's answers where it is asked, and the
    script for all else."""

    def __init__(self, ground: FakeGround) -> None:
        super().__init__()
        self._ground = ground

    async def run(
        self, machine: str, argv: Sequence[str], *, stdin: bytes = b"", timeout: float = 60, check: bool = True
    ) -> Completed:
        await self._ground.at(f"{machine}: {' '.join(argv)}")
        self._ground.reached(machine)
        completed = await super().run(machine, argv, stdin=stdin, timeout=timeout, check=check)
        await self._ground.at(f"{machine} answered")
        return completed

    async def stream(
        self, machine: str, argv: Sequence[str], *, stdin: bytes = b"", timeout: float = 600
    ) -> AsyncGenerator[bytes, None]:
        await self._ground.at(f"{machine}: {argv[-1]}")
        found = self._ground.reached(machine)
        if (argv[0], argv[-1]) not in (("python3", "observe"), ("python3", "apply")):
            async for line in super().stream(machine, argv, stdin=stdin, timeout=timeout):
                yield line
            return
        self.calls.append(Call(machine, tuple(argv), stdin, timeout))
        if argv[-1] == "apply":
            await self._ground.asked(f"apply {machine}")
        wanted = held(state_from_bytes(stdin))
        changes = tuple(differing(found.held, wanted))
        for change in changes:
            yield event_to_line(change)
        for change in changes if argv[-1] == "apply" else ():
            here = (change.kind, change.key)
            found.held = {**{at: had for at, had in found.held.items() if at != here}, **_only(wanted, here)}
            await self._ground.at(f"{machine}: {change.action.value} {change.key}")
            yield event_to_line(Done(change, 0.0))
        yield event_to_line(Ended(len(changes)))


def held(state: MachineState) -> Held:
    """What a machine has that is exactly as ``state`` says."""
    found: dict[tuple[Kind, str], tuple[Resource, ...]] = {}
    for part in fields(state):
        if part.name != "machine":
            kind = _KINDS[part.name]
            found.update({(kind, key_of(one)): (one,) for one in getattr(state, part.name)})
    for unit in state.units:
        read = [one for (_, key), (one, *_) in found.items() if _reads(unit, key)]
        found[Kind.UNIT, unit.name] = (unit, *read)
    return found


def differing(there: Held, wanted: Held) -> Iterator[Change]:
    """What has to be done to a machine to have what is wanted, the units last: they read the rest."""
    for at in sorted({*there, *wanted}, key=lambda at: (at[0] is Kind.UNIT, at)):
        if there.get(at) != wanted.get(at):
            yield Change(at[0], at[1], _action(at, there, wanted), "it differs")


def _action(at: tuple[Kind, str], there: Held, wanted: Held) -> Action:
    unit = wanted[at][0] if at in wanted else None
    if at[0] is not Kind.UNIT:
        return Action.REMOVE if unit is None else Action.UPDATE if at in there else Action.CREATE
    if not isinstance(unit, Unit):
        return Action.STOP
    return Action.START if at not in there else Action.RELOAD if unit.reloads else Action.RESTART


def _reads(unit: Unit, key: str) -> bool:
    return any(key == path or key.startswith(f"{path}/") for path in unit.reads)


def _only(held: Held, at: tuple[Kind, str]) -> Held:
    return {at: held[at]} if at in held else {}
