"""The lab: machines as system containers of this computer, in a network of their own. The embedded default.

    lab = LabProvider(topology, trees, state, emit)         # state: the platform's own folder, 0700
    await lab.prepare()                                     # network, kernel settings, forwarder
    await lab.ensure("gateway", Blueprint(state, seed))     # any number at once, the gateway first
    await lab.wait_ready("gateway", deadline=60)
    await lab.transport.run("gateway", ("ip", "address"))
    lab.on_lan(("curl", "-k", f"https://{topology.lan.floating}:{topology.api_port}"))  # from the lab's own address
    await lab.stop("gateway", force=True)                   # a power cut
    await lab.destroy()

The caller holds the platform's lock. ``ensure`` and ``stop`` may run at the same time for different machines.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from functools import partial
from ipaddress import IPv4Address
from pathlib import Path
from typing import Final

from groundplane.errors import MachineError
from groundplane.events import Emit, Progress, reported
from groundplane.image.removal import remove_tree
from groundplane.image.threads import to_the_end
from groundplane.machines.base import Blueprint, MachineStatus, Power
from groundplane.machines.lab import guest, kernel, rootfs
from groundplane.machines.lab.bridging import filter_bridges
from groundplane.machines.lab.cgroups import detect
from groundplane.machines.lab.containers import Containers
from groundplane.machines.lab.forwarder import Forwarder
from groundplane.machines.lab.hierarchy import Limits
from groundplane.machines.lab.host import require_lab
from groundplane.machines.lab.identity import read_identity
from groundplane.machines.lab.names import FORWARDER, NAMESPACES, Folders, Names, machine_id
from groundplane.machines.lab.network import LabNetwork, operator_address
from groundplane.machines.lab.nspawn import Container
from groundplane.machines.lab.readiness import wait_ready
from groundplane.spec.roles import ROLES
from groundplane.store.files import private_folder
from groundplane.store.home import state_of
from groundplane.topology.model import Machine, Topology
from groundplane.transport.nspawn import Leader, NspawnTransport

PLATFORM: Final = "platform"
_NSPAWN_RUN: Final = Path("/run/systemd/nspawn")


class LabProvider:
    """A Provider that has a power switch, consoles and faults, and puts this computer on the LAN.

    ``state`` is the platform's own folder; the lab keeps its things in ``<state>/lab``.
    """

    def __init__(self, topology: Topology, trees: rootfs.Trees | None, state: Path, emit: Emit) -> None:
        self._topology = topology
        self._trees = trees
        self._state = state.resolve()
        self._emit = emit
        self._names = Names(topology.name)
        self._folders = Folders(self._state)
        self._cgroups = detect()
        self._network = LabNetwork(topology)
        self._containers = Containers(self._names, self._folders, self._cgroups)
        self._forwarder = Forwarder(self._names, self._folders, self._cgroups, topology)
        self._transport = NspawnTransport(self._leader)
        self._turns: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)

    @property
    def transport(self) -> NspawnTransport:
        return self._transport

    async def prepare(self) -> None:
        """The lab's ground. Changes nothing where it already stands, and mends what a crash, a reboot or a drill that
        died left torn.

        Raises HostError where this computer can't carry a lab, MachineError where another state folder holds a
        lab of this name.
        """
        with reported(self._emit, PLATFORM, "lab ground") as outcome:
            require_lab(self._state)
            other = kernel.claim(self._topology.name, self._state)
            if other is not None:
                raise _taken(other)
            await filter_bridges()
            with _written("the lab"):
                private_folder(self._folders.root)
                guest.write_layer(self._folders.layer)
            await self._network.prepare()
            await self._undo_faults()
            outcome.changed = not self._forwarder.running()
            if outcome.changed:
                await self._containers.kill(FORWARDER)
                with _written("the lab"):
                    await self._forwarder.start()

    async def ensure(self, machine: str, blueprint: Blueprint) -> bool:
        """Create and start it as needed; returns when its systemd has begun (see ``wait_ready``).

        One that runs gets its size's limits anew. It has the software it is started with and the data folders of
        ``blueprint`` from its next start on; the root tree stays the one it was born on.
        """
        wanted = self._topology.machine(machine)
        async with self._turns[machine]:
            with reported(self._emit, machine, "machine") as outcome:
                with _written(machine):
                    made = rootfs.make(self._folders, self._topology.name, wanted, blueprint)
                started = self._containers.manager(machine) is None
                if started:
                    # One that was killed left addresses and rules on its cards; a computer that starts has none.
                    await self._network.unplug(machine)
                plugged = await self._network.plug(wanted)
                if started:
                    with _written(machine):
                        await self._start(wanted, blueprint)
                else:
                    self._containers.confine(machine, _limits(wanted))
                outcome.changed = made or plugged or started
                outcome.note = "created" if made else "started" if started else ""
        return outcome.changed

    async def wait_ready(self, machine: str, *, deadline: float = 180, strict: bool = True) -> str:
        """Wait until it has booted and cloud-init is done; see ``readiness.wait_ready``."""
        return await wait_ready(
            machine,
            lambda: self._leader(machine),
            self._transport,
            deadline=deadline,
            strict=strict,
            alive=lambda: self._containers.alive(machine),
        )

    async def stop(self, machine: str, *, force: bool = False) -> None:
        """Shut it down, at once with ``force``. One that doesn't end in a minute is cut off, and an event says so."""
        self._refuse_others()
        async with self._turns[machine]:
            with reported(self._emit, machine, "stop") as outcome:
                outcome.changed = self._containers.manager(machine) is not None
                if not force and not await self._containers.shut_down(machine):
                    self._emit(Progress(machine, "stop", note="it didn't shut down in time and is cut off"))
                await self._network.silence(machine)
                await self._containers.kill(machine)
                await self._network.unplug(machine)

    async def remove(self, machine: str) -> None:
        """Remove one machine with all its data, whether or not the topology still has it."""
        self._refuse_others()
        async with self._turns[machine]:
            with reported(self._emit, machine, "remove"):
                await self._containers.kill(machine)
                await self._network.unplug(machine)
                try:
                    await to_the_end(partial(rootfs.remove, self._folders, machine))
                except OSError as error:
                    raise MachineError("its folder can't be removed", where=machine, detail=str(error)) from error
                self._forget(machine)

    async def destroy(self) -> None:
        """Remove every machine, the network, the forwarder and the kernel settings. Caches stay.

        Machines are found by what is left of them, so it works on a half-built lab, after a reboot of the host,
        and again. Where another state folder holds the lab of this name, only our own folder goes.
        """
        with reported(self._emit, PLATFORM, "remove the lab") as outcome:
            if (other := self._other()) is not None:
                outcome.note = f"the machines of this name belong to {other} and stay"
                await to_the_end(partial(remove_tree, self._folders.root))
                return
            machines = self._known()
            removals = (self._containers.kill(FORWARDER), *(self.remove(machine) for machine in machines))
            # One that can't be removed keeps none of the others.
            outcomes = await asyncio.gather(*removals, return_exceptions=True)
            if failures := [outcome for outcome in outcomes if isinstance(outcome, Exception)]:
                raise ExceptionGroup("the lab could not be removed entirely", failures)
            await self._network.remove()
            self._cgroups.remove(self._topology.name)
            await to_the_end(partial(remove_tree, self._folders.root))
            kernel.release(self._topology.name, self._state)
            _drop_empty(NAMESPACES, _NSPAWN_RUN / "propagate", _NSPAWN_RUN / "unix-export", _NSPAWN_RUN)
            self._cgroups.remove_ours()

    def remains(self) -> bool:
        """Whether anything of a lab of this name is left on this computer, whoever remembers it."""
        self._refuse_others()
        groups = self._cgroups.groups(self._topology.name)
        return bool(groups or self._network.stands() or self._known() or self._folders.root.exists())

    def status(self) -> tuple[MachineStatus, ...]:
        """Every machine of the topology in its order, then, by name, every other that there is anything left of."""
        known, ours = self._known(), self._other() is None
        wanted = [machine.name for machine in self._topology.machines]
        names = (*wanted, *(name for name in known if name not in wanted))
        return tuple(self._status(name, known, ours) for name in names)

    def api_endpoint(self) -> tuple[str, int]:
        """Where on this computer the API answers; the port stays the same as long as it can."""
        return self._forwarder.endpoint()

    def console(self, machine: str) -> Path:
        """The file its console is written to; it begins anew at each start."""
        return self._folders.console(machine)

    @property
    def operator_address(self) -> IPv4Address:
        """This computer's own address on the lab's LAN."""
        return operator_address(self._topology)

    def on_lan(self, argv: Sequence[str]) -> tuple[str, ...]:
        """The argv that runs ``argv`` on this computer but in the lab's network, at the operator's address."""
        return ("nsenter", f"--net={NAMESPACES / self._names.namespace}", *argv)

    async def freeze(self, machine: str) -> None:
        """See ``machines.base.Faults``, as for the next three."""
        self._refuse_others()
        await self._containers.freeze(machine)

    async def thaw(self, machine: str) -> None:
        self._refuse_others()
        self._containers.thaw(machine)

    async def cut(self, machine: str, peer: str = "") -> None:
        self._refuse_others()
        await self._network.cut(machine, peer)

    async def mend(self) -> None:
        self._refuse_others()
        await self._network.mend()

    async def _undo_faults(self) -> None:
        """Undo what a drill did that was killed before it could."""
        await self._network.mend()
        for machine in self._known():
            self._containers.thaw(machine)

    def _other(self) -> Path | None:
        """The state folder of another lab of our name that stands: every name and number here is then that one's."""
        return kernel.holder(self._topology.name, self._state)

    def _refuse_others(self) -> None:
        if (other := self._other()) is not None:
            raise _taken(other)

    def _leader(self, machine: str) -> Leader | None:
        """A machine's first process, for entering it; MachineError where it would be another lab's machine."""
        self._refuse_others()
        return self._containers.leader(machine)

    async def _start(self, machine: Machine, blueprint: Blueprint) -> None:
        trees = self._trees or rootfs.stood_on(self._folders, machine.name)
        if trees is None:
            raise MachineError("it can't be started without the image and the bundle", where=machine.name)
        layer = guest.write_layer(self._folders.layer)
        rootfs.stand_on(self._folders, machine.name, trees, layer)
        data = blueprint.state.data_folders
        binds = await rootfs.binds(self._folders, machine, data, trees)
        container = Container(
            name=self._names.container(machine.name),
            hostname=machine.name,
            uuid=machine_id(self._topology.name, machine.name),
            folder=self._folders.machine(machine.name),
            namespace=NAMESPACES / self._names.machine_namespace(machine.name),
            binds=binds,
            cgroup_version=self._cgroups.version,
        )
        await self._containers.start(container, machine.name, _limits(machine))

    def _status(self, machine: str, known: Collection[str], ours: bool) -> MachineStatus:
        """``ours``: what runs under our name is this lab's and no other's."""
        made = self._folders.made(machine).is_file()
        identity, unfinished = read_identity(self._folders.identity(machine)), machine in known and not made
        startable = made and rootfs.stood_on(self._folders, machine) is not None
        found = MachineStatus(
            machine, Power.OFF if made else Power.ABSENT, identity=identity, unfinished=unfinished, startable=startable
        )
        if not ours or self._containers.manager(machine) is None:
            return found
        usage, size = self._containers.usage(machine), self._containers.size(machine)
        return replace(found, power=Power.RUNNING, memory_used=usage.memory, cpu_seconds=usage.cpu_seconds, size=size)

    def _known(self) -> tuple[str, ...]:
        """Every machine of ours there is anything left of."""
        found: set[str] = set()
        if self._other() is None:
            found.update(self._cgroups.groups(self._topology.name), self._network.machines())
        for folder in (self._folders.machines, self._folders.data):
            if folder.is_dir():
                found.update(path.name for path in folder.iterdir())
        return tuple(sorted(found - {FORWARDER}))

    def _forget(self, machine: str) -> None:
        """Remove what a killed systemd-nspawn leaves in /run."""
        for folder in ("propagate", "unix-export"):
            with suppress(FileNotFoundError):
                (_NSPAWN_RUN / folder / self._names.container(machine)).rmdir()


def _limits(machine: Machine) -> Limits:
    # A busy computer must not look like a dead machine to those who decide who holds the floating address, nor machines
    # that begin keep those waiting that serve.
    rows = [ROLES[role] for role in machine.roles]
    return Limits(machine.cpus, machine.memory, max(row.weight for row in rows), prompt=any(row.prompt for row in rows))


def _taken(other: Path) -> MachineError:
    return MachineError(
        "another platform of this name has its lab on this computer",
        where=str(other),
        hint=f"if that is the one you mean, run the command with --state-dir {state_of(other)}; "
        "else give this one another name",
    )


@contextmanager
def _written(where: str) -> Iterator[None]:
    """Turn a file that can't be written (no space, read-only, no such program) into a MachineError."""
    try:
        yield
    except OSError as error:
        raise MachineError(
            f"its files can't be written: {error.strerror or error}",
            where=where,
            hint="make room in the state folder, or choose another one with --state-dir",
            detail=str(error),
        ) from error


def _drop_empty(*folders: Path) -> None:
    """Remove folders that hold nothing any more; others' things keep them."""
    for folder in folders:
        with suppress(OSError):
            folder.rmdir()
