"""What a provider of machines does. A provider overrides only what differs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from ipaddress import IPv4Address
from pathlib import Path
from typing import Protocol, runtime_checkable

from groundplane.cloudinit.seed import Seed
from groundplane.state.model import MachineState
from groundplane.topology.model import Machine
from groundplane.transport.base import Transport


class Power(StrEnum):
    """Whether a machine is there and running."""

    ABSENT = "absent"
    OFF = "off"
    RUNNING = "running"


@dataclass(frozen=True, slots=True)
class MachineStatus:
    """What the provider knows of one machine, without asking the machine."""

    name: str
    power: Power
    memory_used: int = 0  # bytes, 0 where unknown
    cpu_seconds: float = 0.0  # processor time since it was started
    machine: Machine | None = None  # as it was made


@dataclass(frozen=True, slots=True)
class Blueprint:
    """One machine as the provider needs it: its state's data folders and its first-boot seed."""

    state: MachineState
    seed: Seed


@dataclass(frozen=True, slots=True)
class Material:
    """What machines are made of, all read-only: the base image's root tree, the bundle's software tree laid over
    it, and the registry's storage tree that the gateway serves."""

    root: Path
    software: Path
    registry: Path


class Provider(Protocol):
    """Makes, starts, stops and removes a platform's machines. Every method is safe to repeat."""

    @property
    def transport(self) -> Transport: ...

    async def prepare(self) -> None:
        """Make what machines share (network, limits), and clear what a crash or a reboot of the host left."""

    async def ensure(self, machine: str, blueprint: Blueprint) -> bool:
        """Create the machine if it isn't there and start it if it isn't running; return whether anything changed."""

    async def wait_ready(self, machine: str, *, deadline: float = 180, strict: bool = True) -> str:
        """Wait until it has booted and its first boot is done; return how systemd calls its state.

        ``strict``: MachineError where a unit failed; else that is left to whoever looks at its units.
        """

    async def stop(self, machine: str, *, force: bool = False) -> None:
        """Shut it down in order, or at once with ``force``."""

    async def remove(self, machine: str) -> None:
        """Remove one machine with all its data, whether or not the topology still has it."""

    async def destroy(self) -> None:
        """Remove every machine and all that ``prepare`` made. Caches stay."""

    def remains(self) -> bool:
        """Whether anything is left of a platform of this name. MachineError where another state folder holds it."""

    def status(self) -> tuple[MachineStatus, ...]:
        """Every machine of the topology, in its order."""

    def console(self, machine: str) -> Path:
        """The file its console is written to."""

    def api_endpoint(self) -> tuple[str, int]:
        """Host and port at which this computer reaches the API's floating address."""


@runtime_checkable
class Faults(Protocol):
    """What a provider can break besides, for drills; one that lacks it can't be drilled.

    Every fault is undone by its opposite, which is safe to repeat, and all of them by ``Provider.prepare``: whoever
    broke something may have died since.
    """

    @property
    def operator_address(self) -> IPv4Address:
        """This computer's own address on the LAN."""

    def on_lan(self, argv: Sequence[str]) -> tuple[str, ...]:
        """The argv that runs ``argv`` on this computer, at its address on the LAN."""

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
