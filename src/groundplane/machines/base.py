"""What a provider of machines does, and what a kind of provider says of itself.

``Provider`` is what all of them can do. What only some can is a small protocol each (``PowerSwitch``, ``Console``,
``Faults``, ``OnLan``), asked for with ``isinstance``. Which kinds there are is in ``catalog.py``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from ipaddress import IPv4Address
from pathlib import Path
from typing import Protocol, runtime_checkable

from groundplane.cloudinit.seed import Seed
from groundplane.errors import MachineError
from groundplane.events import Emit
from groundplane.software import Program
from groundplane.spec.roles import Role
from groundplane.state.model import MachineState
from groundplane.topology.model import Topology, Traits
from groundplane.transport.base import Transport


class Power(StrEnum):
    """Whether a machine is there and running."""

    ABSENT = "absent"
    OFF = "off"
    RUNNING = "running"


@dataclass(frozen=True, slots=True)
class Identity:
    """Who a machine is, as its provider has remembered it since the machine was made."""

    name: str
    roles: tuple[Role, ...]
    mac: str  # its card on the LAN: lower case, colons
    address: IPv4Address


@dataclass(frozen=True, slots=True)
class Size:
    """Processors and bytes of memory that a machine may use: ``inf`` where nothing holds it back, None where its
    provider can't tell."""

    cpus: float | None = None
    memory: float | None = None


@dataclass(frozen=True, slots=True)
class MachineStatus:
    """What the provider knows of one machine, without asking the machine."""

    name: str
    power: Power
    memory_used: int = 0  # bytes, 0 where unknown
    cpu_seconds: float = 0.0  # processor time since it was started
    identity: Identity | None = None  # None where nothing that can be read is remembered
    unfinished: bool = False  # something of it is there, but its making or its removal was cut short
    size: Size = Size()  # while it runs
    startable: bool = False  # what it stood on when it was last started is at hand: it takes no other material

    @property
    def exists(self) -> bool:
        """Whether there is anything of it that would have to be removed."""
        return self.unfinished or self.power is not Power.ABSENT


@dataclass(frozen=True, slots=True)
class Blueprint:
    """One machine as the provider needs it: its state's data folders and its first-boot seed."""

    state: MachineState
    seed: Seed


class Tree(StrEnum):
    """A folder on this computer that machines can be made of, never written to."""

    ROOT = "root"  # the base image's root tree
    SOFTWARE = "software"  # the bundle's programs, to be laid over it
    REGISTRY = "registry"  # the storage of the gateway's registry


@dataclass(frozen=True, slots=True)
class Material:
    """What machines are made of: the trees that their kind of provider asked for. ``programs``: what the software tree
    holds, where it is one of these."""

    trees: Mapping[Tree, Path]
    programs: tuple[Program, ...] = ()


@dataclass(frozen=True, slots=True)
class HostFinding:
    """One thing looked at on this computer. ``remedy`` says what to do where it isn't ``fine``."""

    name: str
    fine: bool
    seen: str
    remedy: str = ""


class Provider(Protocol):
    """Makes, starts and removes a platform's machines. Every method is safe to repeat."""

    @property
    def transport(self) -> Transport: ...

    async def prepare(self) -> None:
        """Make what machines share (network, limits), and clear what a crash or a reboot of the host left."""

    async def ensure(self, machine: str, blueprint: Blueprint) -> bool:
        """Create the machine if it isn't there and start it if it isn't running; return whether anything changed.

        It starts with the material that the provider was given; where that was none, with what it stood on when it was
        last started. MachineError where it would have to be started and that can't be done from here.
        """

    async def wait_ready(self, machine: str, *, deadline: float = 180, strict: bool = True) -> str:
        """Wait until it has booted and its first boot is done; return how systemd calls its state.

        ``strict``: MachineError where a unit failed; else that is left to whoever looks at its units.
        """

    async def remove(self, machine: str) -> None:
        """Remove one machine with all its data, whether or not the topology still has it."""

    async def destroy(self) -> None:
        """Remove every machine and all that ``prepare`` made. Caches stay."""

    def remains(self) -> bool:
        """Whether anything is left of a platform of this name. MachineError where another state folder holds it."""

    def status(self) -> tuple[MachineStatus, ...]:
        """Every machine of the topology in its order, those that aren't there too; then, by name, every other machine
        that there is anything of, whatever file it was made from."""

    def api_endpoint(self) -> tuple[str, int]:
        """Host and port at which this computer reaches the API's floating address."""


@runtime_checkable
class PowerSwitch(Protocol):
    """A provider that switches machines off. It switches them on as well, in ``Provider.ensure``."""

    async def stop(self, machine: str, *, force: bool = False) -> None:
        """Shut it down in order, or at once with ``force``; whether or not the topology still has it."""


@runtime_checkable
class Console(Protocol):
    """A provider that keeps what machines write to their consoles."""

    def console(self, machine: str) -> Path:
        """The file its console is written to."""


@runtime_checkable
class OnLan(Protocol):
    """A provider that puts this computer on the machines' LAN (``spec.providers.OPERATOR_ON_LAN``)."""

    @property
    def operator_address(self) -> IPv4Address:
        """This computer's own address on the LAN."""

    def on_lan(self, argv: Sequence[str]) -> tuple[str, ...]:
        """The argv that runs ``argv`` on this computer, at its address on the LAN."""


@runtime_checkable
class Faults(Protocol):
    """A provider that breaks machines and their network on purpose, for drills.

    Every fault is undone by its opposite, which is safe to repeat, and all of them by ``Provider.prepare``: whoever
    broke something may have died since.
    """

    async def freeze(self, machine: str) -> None:
        """Let every process of the machine stand still; its kernel goes on answering."""

    async def thaw(self, machine: str) -> None:
        """Let them go on where they stood."""

    async def cut(self, machine: str, peer: str = "") -> None:
        """Let nothing pass between the machine and ``peer``, or anybody at all; its card notices nothing.

        One cut at a time: with two, the second's ends may lose each other as well.
        """

    async def mend(self) -> None:
        """Undo every cut."""


class ProviderKind(Protocol):
    """One of the providers a file can name, before there is a platform: what it needs, what its machines are like."""

    @property
    def needs_root(self) -> bool:
        """Whether only root may work on its machines."""

    @property
    def expendable(self) -> bool:
        """Whether its platforms are for trying things out, so that nobody is asked before one is broken by a drill."""

    @property
    def material(self) -> frozenset[Tree]:
        """The trees its machines are made of."""

    def traits(self) -> Traits:
        """What machines are like that it would make now; HostError where it can't make any here.

        Looked up at a platform's birth, then remembered with the platform: machines stay as they are, wherever and by
        whichever computer they are looked at.
        """

    def examine(self, state: Path) -> tuple[HostFinding, ...]:
        """What this computer has and lacks for it, nothing changed. ``state`` is where platforms are kept."""

    def provider(self, topology: Topology, material: Material | None, folder: Path, emit: Emit) -> Provider:
        """Its provider for one platform; ``material`` only where machines may have to be made, or started with it.

        ``folder`` is the platform's own on this computer. HostError where this computer lacks what that takes.
        """


def switch_of(provider: Provider, name: str) -> PowerSwitch:
    """The machines' power switch on platform ``name``; MachineError where there is none."""
    if isinstance(provider, PowerSwitch):
        return provider
    raise MachineError(
        "its provider can't switch machines off",
        where=name,
        hint="shut them down from within: `groundplane ssh MACHINE -- systemctl poweroff`",
    )


def console_of(provider: Provider, name: str) -> Console:
    """The machines' consoles on platform ``name``; MachineError where nobody keeps what is written there."""
    if isinstance(provider, Console):
        return provider
    raise MachineError(
        "its provider doesn't keep what machines write to their consoles",
        where=name,
        hint="look at a machine's journal: `groundplane ssh MACHINE -- journalctl -b`",
    )
