"""A platform of the imagination: the shipped fake ground, three small components, and the members they keep.

The components are as real ones are: a file with all names on the gateway, one with all control planes on the balancers,
and nodes that join what the control planes keep. What must never be is looked for at every moment: control planes
that are down while others need them, and machines that nothing remembers.
"""

from __future__ import annotations

import asyncio
import copy
import json
import sqlite3
from collections.abc import Callable, Coroutine, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from functools import cache, partial
from itertools import count
from pathlib import Path
from typing import TypeVar

import pytest
from tests.conftest import VirtualLoop
from tests.golden.laid_out import SECRETS as TEST_KEYS

from groundplane import recipes
from groundplane.bundle.images import images_of
from groundplane.components.base import Component
from groundplane.drill import Suite
from groundplane.errors import CommandFailed, TransportError
from groundplane.machines.base import Tree
from groundplane.machines.fake import FakeGround, FakeMachine
from groundplane.rollout.plan import Plan
from groundplane.software import Program
from groundplane.spec import ClusterSpec, load
from groundplane.spec.addressing import roster
from groundplane.spec.model import ProviderName
from groundplane.spec.roles import Role
from groundplane.state.model import File, Fragment, Unit
from groundplane.state.step import Completed, Reach, Step
from groundplane.store import Store, journal, platform
from groundplane.topology.model import Machine, Topology
from groundplane.topology.secrets_json import secrets_from_json
from groundplane.transport.fake import Call
from groundplane.verify.check import Check
from groundplane.verify.condition import NotYet

T = TypeVar("T")
Recipe = Callable[[], Coroutine[object, object, object]]
SECRETS = secrets_from_json(TEST_KEYS.read_bytes())
PATIENCE = 5.0  # virtual seconds
SMALL = "name: lab\nmachines: {balancer: 2, control-plane: 3, worker: 1}\n"


class Killed(BaseException):
    """The process ends here: nothing it does from now on reaches anything."""


@dataclass
class World:
    """The ground, its members (name → the birth of the machine that joined), the state folder, and a clock of moments.

    ``end_at`` is the moment at which the process is killed; ``cancels``: it is asked to stop there instead.
    """

    folder: Path
    ground: FakeGround = field(default_factory=FakeGround)
    members: dict[str, int] = field(default_factory=dict)
    red: set[str] = field(default_factory=set)  # checks that don't hold
    spoilt: set[str] = field(default_factory=set)  # that hold once more and then never again
    moments: int = 0  # at which anything had changed since the one before
    written: int = 0  # what the state folder was written, in all
    known: frozenset[str] = frozenset()  # the machines that the state folder has the names of
    seen: object = None
    end_at: int = 0
    cancels: bool = False
    wrong: list[str] = field(default_factory=list)
    spares: int = 1  # control planes that may be down
    bundle: str = "one"  # which one is today's
    unwell: set[str] = field(default_factory=set)  # members that don't serve, though their machines answer
    objects: set[int] | None = None  # that a drill's clients have written; None: there is no place for them
    task: asyncio.Task[object] | None = None

    def __post_init__(self) -> None:
        self.options = recipes.Options(self.folder / "lab.yaml", state_dir=self.folder / "state")
        self.store = Store(self.options.home, "lab")
        self.ground.moment = self.moment
        self.ground.reach.on("*", "crm_mon", status=1)
        self.ground.reach.on("*", "member", then=self.member)

    # -- what tests do -------------------------------------------------------------------------------------------

    def write(self, text: str) -> None:
        self.options.file.write_text(text)

    def run(self, recipe: Coroutine[object, object, T]) -> T:
        """Run to the end, or to ``end_at``; the journal begins anew."""

        async def main() -> T:
            self.task = asyncio.current_task()
            return await recipe

        self.moments, self.seen = 0, None
        self.ground.journal.clear()
        with asyncio.Runner(loop_factory=VirtualLoop) as runner:
            return runner.run(main())

    def up(self) -> object:
        return self.run(recipes.up(self.options))

    def apply(self) -> object:
        return self.run(recipes.apply(self.options))

    def plan(self) -> Plan:
        return self.run(recipes.plan(self.options))

    def replace(self, *names: str) -> object:
        return self.run(recipes.replace(self.options, names))

    def drill(self, name: str) -> Suite:
        return self.run(recipes.drill(self.options, name))

    def overtake(self, monkeypatch: pytest.MonkeyPatch, text: str) -> None:
        """Have an `apply` of ``text`` end at the last moment before the next who works on the platform has its lock."""
        before, real = self.remembered(), Store.lock
        self.write(text)
        self.apply()
        after = self.remembered()
        assert before.keys() == after.keys()

        def put(files: dict[str, bytes]) -> None:
            for name, content in files.items():
                (self.store.folder / name).write_bytes(content)

        def lock(store: Store, command: str) -> AbstractContextManager[None]:
            put(after)
            return real(store, command)

        put(before)
        monkeypatch.setattr(Store, "lock", lock)

    def did(self, *words: str) -> list[str]:
        """What of the journal begins with one of ``words``."""
        return [entry for entry in self.ground.journal if entry.startswith(words)]

    # -- what is so ----------------------------------------------------------------------------------------------

    def standing(self, name: str) -> FakeMachine | None:
        found = self.ground.machines.get(name)
        return found if found and found.answers else None

    def truth(self) -> object:
        """All there is of the platform, so that two can be compared."""
        machines = {
            name: (one.power, one.size, one.held, one.booted, one.unfinished, one.frozen, one.cut_from)
            for name, one in sorted(self.ground.machines.items())
        }
        joined = sorted(name for name, born in self.members.items() if self.ground.machines[name].born == born)
        return machines, joined, len(self.members), self.remembered()

    def remembered(self) -> dict[str, bytes]:
        folder = self.store.folder
        return {path.name: path.read_bytes() for path in folder.iterdir()} if folder.is_dir() else {}

    def snapshot(self) -> Callable[[], None]:
        """What brings everything back to how it is now."""
        machines, members = copy.deepcopy(self.ground.machines), dict(self.members)
        prepared, files = self.ground.prepared, self.remembered()

        def restore() -> None:
            self.ground.machines = copy.deepcopy(machines)
            self.members, self.ground.prepared = dict(members), prepared
            for name in self.remembered():
                (self.store.folder / name).unlink()
            for name, content in files.items():
                (self.store.folder / name).write_bytes(content)
            self.wrote()

        return restore

    def wrote(self) -> None:
        """Something in the state folder is another than before."""
        self.written += 1
        specs = (self.store.remembered_spec(), self.store.intended_spec())
        self.known = frozenset(entry.name for spec in specs if spec for entry in roster(spec))

    # -- how it works --------------------------------------------------------------------------------------------

    def moment(self, words: str) -> None:
        ground = [
            (n, m.power, m.size, id(m.held), m.booted, m.unfinished, m.frozen, m.cut_from)
            for n, m in self.ground.machines.items()
        ]
        if (now := (ground, list(self.members), self.ground.prepared, self.written)) != self.seen:
            self.moments += 1
        self.seen = now
        if self.end_at and self.moments >= self.end_at:
            if not self.cancels:
                raise Killed(words)
            if self.task:
                self.task.cancel()
                self.task = None
        self.wrong += [f"{self.moments}: {words}: {what}" for what in (*self._unknown(), *self._down())]

    def _unknown(self) -> Iterator[str]:
        yield from (f"nothing remembers {name}" for name in sorted(self.ground.machines.keys() - self.known))

    def _down(self) -> Iterator[str]:
        voters = {name: born for name, born in self.members.items() if name.startswith("cp")}
        down = [name for name, born in voters.items() if not (one := self.standing(name)) or one.born != born]
        if len(down) > self.spares or len(down) * 2 >= max(len(voters), 1):
            yield f"of {', '.join(voters)} are down: {', '.join(down) or 'none'}"

    def member(self, call: Call) -> Completed:
        """``member found|list|add|dismiss|me``, as a control plane answers."""
        _, what, *names = call.argv
        born = self.ground.machines[call.machine].born
        if what == "me":
            return Completed(0, str(born).encode(), b"")
        if what == "found":
            assert not self.members, "there is a cluster already"
            self.ground.journal.append(f"found {call.machine}")
            self.members[call.machine] = born
        elif self.members.get(call.machine) != born or any(self._down_now()):
            return Completed(1, b"", b"no quorum here")
        for name in names:
            self.ground.journal.append(f"{what} {name}")
            if what == "add":
                assert name not in self.members, f"{name} is a member already"
                self.members[name] = self.ground.machines[name].born
            else:
                self.members.pop(name, None)
        return Completed(0, "\n".join(f"{name} {born}" for name, born in self.members.items()).encode(), b"")

    def _down_now(self) -> Iterator[str]:
        voters = {name: born for name, born in self.members.items() if name.startswith("cp")}
        up = [name for name, born in voters.items() if (one := self.standing(name)) and one.born == born]
        if len(up) * 2 <= len(voters):
            yield "no majority"

    def crm_mon(self, _: Call) -> Completed:
        """The first balancer that stands has the floating address."""
        nodes = "".join(f'<node name="{name}"/>' for name in self._holder())
        address = f'<resource id="floating-address" role="Started">{nodes}</resource>'
        return Completed(0, f'<r><summary><current_dc with_quorum="true"/></summary>{address}</r>'.encode(), b"")

    def kubectl(self, call: Call) -> Completed:
        """What drills ask of a cluster: who its nodes are, and room for objects."""
        verb, what, *_ = call.argv[3:]
        if any(self._down_now()):
            return Completed(1, b"", b"no quorum here")
        if what == "nodes":
            ready = {"conditions": [{"type": "Ready", "status": "True"}]}
            items = [{"metadata": {"name": name}, "status": ready} for name in self.members]
        elif what == "configmaps":
            items = [{"metadata": {"name": f"write-{n}"}, "data": {"number": f"{n}"}} for n in self.objects or ()]
        else:
            self.objects = set() if verb == "apply" else None if verb == "delete" else self.objects
            return Completed(0, b"", b"")
        return Completed(0, json.dumps({"items": items}).encode(), b"")

    def asked(self, number: int, writes: bool) -> dict[str, object]:
        """What a client sees now, as a prober's line says it."""
        holder = self._holder()
        ok = bool(holder) and not any(self._down_now())
        if ok and writes and self.objects is not None:
            self.objects.add(number)
        seen = {"at": asyncio.get_running_loop().time(), "seconds": 0.001, "ok": ok, "why": "" if ok else "nobody"}
        return {"number": number, "macs": [self.ground.machines[name].identity.mac for name in holder], **seen}

    def _holder(self) -> list[str]:
        return [name for name in sorted(self.ground.machines) if name.startswith("lb") and self.standing(name)][:1]

    # -- what it is made of --------------------------------------------------------------------------------------

    def components(self) -> tuple[Component, ...]:
        return (
            Component("names", _names, checks=self._check("names")),
            Component(
                "proxy",
                _proxy,
                checks=self._check("proxy"),
                spare=partial(self._spare, Role.BALANCER),
                interrupts={"proxy.service": "connections break"},
            ),
            Component(
                "members",
                _member,
                steps=_joins,
                checks=self._check("members"),
                spare=partial(self._spare, Role.CONTROL_PLANE),
                without=self._without,
                ails=self._ails,
                leaving=_leaves,
            ),
        )

    async def bundled(self, *given: object) -> tuple[dict[Tree, Path], tuple[Program, ...]]:
        """What a registry would serve now, as the name of a folder: the bundle's images and the user's own."""
        *_, images, _ = given
        assert isinstance(images, bytes)
        return {Tree.REGISTRY: Path(self.bundle, *(image.digest for image in images_of(images)))}, ()

    def served(self, gateway: str) -> tuple[str, ...]:
        """What a gateway's registry serves."""
        material = self.ground.machines[gateway].material
        return material.trees[Tree.REGISTRY].parts if material else ()

    def registry(self) -> Component:
        """One that serves what its gateway was given when it started."""

        def steps(topology: Topology) -> tuple[Step, ...]:
            own = [image.digest for image in topology.software.own_images]
            name, machines = topology.gateway.name, (topology.gateway.name,)

            async def serves(_: Reach) -> bool:
                return self.served(name) == (self.bundle, *own)

            async def wait(_: Reach) -> None: ...

            return (Step("images", name, "serve them", serves, wait, needs_machines=machines, restarts=True),)

        return Component("registry", lambda *_: None, steps=steps)

    def _check(self, name: str) -> Callable[[Topology], tuple[Check, ...]]:
        def checks(topology: Topology) -> tuple[Check, ...]:
            async def probe(reach: Reach) -> str:
                there = await _list(reach, topology)
                if name in self.spoilt:
                    self.spoilt.remove(name)
                    self.red.add(name)
                elif name in self.red or {node.name for node in topology.nodes} - set(there):
                    raise NotYet(f"members are {', '.join(there)}")
                return "well"

            return (Check(name, f"{name} are well", PATIENCE, "look at them", probe),)

        return checks

    def _spare(self, role: Role, topology: Topology, machine: Machine) -> Check | None:
        others = [other.name for other in topology.of_role(role) if other != machine]
        if not machine.has(role) or not others:
            return None

        async def probe(_: Reach) -> str:
            if down := [name for name in others if not self.standing(name)]:
                raise NotYet(f"down: {', '.join(down)}")
            if role is Role.CONTROL_PLANE and (unjoined := set(others) - set(self.members)):
                raise NotYet(f"no members yet: {', '.join(sorted(unjoined))}")
            return "well"

        return Check(f"spare-{role.value}", f"others do what {machine.name} does", PATIENCE, "mend them", probe)

    def _without(self, topology: Topology, machine: Machine) -> Check | None:
        others = {other.name for other in topology.control_planes} - {machine.name}
        if not machine.has(Role.CONTROL_PLANE) or not others:
            return None

        async def probe(_: Reach) -> str:
            if machine.name not in self.unwell and (unwell := sorted(others & self.unwell)):
                raise NotYet(f"not well: {', '.join(unwell)}")
            return "well"

        return Check("without-members", f"others are well when {machine.name} goes", PATIENCE, "mend them", probe)

    async def _ails(self, _: Reach, __: Topology, machine: Machine) -> bool:
        return machine.name in self.unwell and not any(self._down_now())


class Client:
    """One of a drill's clients in its prober's place: no program, and it asks by the loop's clock."""

    def __init__(
        self,
        world: World,
        argv: Sequence[str],
        read: Callable[[str], T],
        seen: list[T],
        task: dict[str, object] | None = None,
    ) -> None:
        assert argv[0] == "on-lan"
        self._every = float(str(task["every"] if task else argv[-1]))
        writes = bool(task and task["namespace"])
        self._ask: Callable[[int], None] = lambda number: seen.append(read(json.dumps(world.asked(number, writes))))
        self._asking: asyncio.Task[None] | None = None

    async def start(self) -> None:
        self._asking = asyncio.create_task(self._go_on())

    async def stop(self) -> None:
        if self._asking is not None:
            self._asking.cancel()

    async def _go_on(self) -> None:
        for number in count():
            self._ask(number)
            await asyncio.sleep(self._every)


def _names(topology: Topology, machine: Machine) -> Fragment | None:
    if not machine.has(Role.GATEWAY):
        return None
    lines = [f"{one.name} {one.mac} {one.address}" for one in topology.machines]
    network = topology.spec.network
    content = "\n".join((str(network.dhcp_pool), str(network.uplink and network.uplink.nameservers), *lines)).encode()
    return Fragment("names", (File("/etc/names", content), Unit("names.service", reads=("/etc/names",), reloads=True)))


def _proxy(topology: Topology, machine: Machine) -> Fragment | None:
    if not machine.has(Role.BALANCER):
        return None
    content = " ".join(one.name for one in (*topology.control_planes, *topology.balancers)).encode()
    return Fragment("proxy", (File("/etc/proxy", content), Unit("proxy.service", reads=("/etc/proxy",))))


def _member(topology: Topology, machine: Machine) -> Fragment | None:
    return Fragment("members", (File("/etc/member", topology.api_host.encode()),)) if machine.is_node else None


async def _list(reach: Reach, topology: Topology) -> dict[str, str]:
    """Who is a member, by birth; {} where there is no cluster yet. CommandFailed where none who has one answers."""
    said = 0
    for machine in topology.control_planes:
        try:
            completed = await reach.run(machine.name, ("member", "list"), check=False)
        except TransportError:
            continue
        if completed.status == 0:
            return dict(line.split(" ") for line in completed.text.splitlines())
        said += 1
    if said == len(topology.control_planes):
        return {}
    raise CommandFailed("no control plane has the members", status=1)


async def _change(reach: Reach, topology: Topology, what: str, name: str) -> None:
    for machine in topology.control_planes:
        if machine.name != name and machine.name in await _list(reach, topology):
            await reach.run(machine.name, ("member", what, name))
            return
    raise CommandFailed("nobody keeps the members", status=1)


def _joins(topology: Topology) -> tuple[Step, ...]:
    first = topology.control_planes[0].name
    everybody = tuple(machine.name for machine in topology.control_planes)

    async def founded(reach: Reach) -> bool:
        return bool(await _list(reach, topology))

    async def found(reach: Reach) -> None:
        await reach.run(first, ("member", "found"))

    async def joined(name: str, reach: Reach) -> bool:
        there = await _list(reach, topology)
        return there.get(name) == (await reach.run(name, ("member", "me"))).text

    async def join(name: str, reach: Reach) -> None:
        if name in await _list(reach, topology):  # another machine had the name
            await _change(reach, topology, "dismiss", name)
        await _change(reach, topology, "add", name)

    steps = [Step("found", first, "somebody begins", founded, found, needs_machines=everybody)]
    for node in topology.nodes:
        needs, name = (steps[-1].name if node.has(Role.CONTROL_PLANE) else "found",), node.name
        steps.append(Step(f"join:{name}", name, "it joins", partial(joined, name), partial(join, name), needs, (name,)))
    return tuple(steps)


def _leaves(topology: Topology, machine: Machine) -> tuple[Step, ...]:
    if not machine.is_node:
        return ()

    async def gone(reach: Reach) -> bool:
        return machine.name not in await _list(reach, topology)

    async def go(reach: Reach) -> None:
        await _change(reach, topology, "dismiss", machine.name)

    return (Step(f"leave:{machine.name}", "platform", "nobody counts on it", gone, go),)


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    """An empty ground, and a file of seven machines."""
    found = World(tmp_path)
    found.write(SMALL)
    monkeypatch.setattr("groundplane.design.COMPONENTS", found.components())
    monkeypatch.setattr("groundplane.machines.catalog.KINDS", {ProviderName.LAB: found.ground})
    monkeypatch.setattr("groundplane.topology.pki.make_secrets", lambda _: SECRETS)
    monkeypatch.setattr("groundplane.recipes.common.load", lambda file, **others: _read(file.read_bytes(), **others))
    _outlast_nothing(monkeypatch)

    def told(real: Callable[..., T], name: str) -> Callable[..., T]:
        def write(*given: object) -> T:
            found.moment(f"before {name}")
            written = real(*given)
            found.wrote()
            found.moment(f"after {name}")
            return written

        return write

    for name in ("write_private", "create_private"):
        monkeypatch.setattr(platform, name, told(getattr(platform, name), name))
    monkeypatch.setattr(Store, "_remove", told(Store._remove, "remove"))
    return found


@pytest.fixture
def registry(world: World, monkeypatch: pytest.MonkeyPatch) -> World:
    """One with a component more: its gateway serves images."""
    monkeypatch.setattr("groundplane.design.COMPONENTS", (*world.components(), world.registry()))
    monkeypatch.setattr("groundplane.recipes.common._bundled", world.bundled)
    world.ground.material = frozenset({Tree.REGISTRY})
    return world


@pytest.fixture
def built(world: World) -> World:
    """One that stands."""
    world.up()
    assert not world.wrong
    return world


@cache
def _read(text: bytes, *, name: str, versions: tuple[str, ...], built: tuple[ClusterSpec, ...]) -> ClusterSpec:
    """A file is read thousands of times here, and is one of five."""
    return load(text, name=name, versions=versions, built=built)


def _outlast_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Spare the disk's flushes: a kill isn't a power cut, and there are thousands."""
    connect = journal.connect

    def connected(path: Path) -> sqlite3.Connection:
        connection = connect(path)
        connection.execute("PRAGMA synchronous = OFF")
        return connection

    monkeypatch.setattr("os.fsync", lambda _: None)
    monkeypatch.setattr(journal, "connect", connected)
    monkeypatch.setattr(journal, "_outlasting", lambda _: nullcontext())
