"""A second kind of provider: it can do what all can, nothing more, and is told by a test what there is."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from groundplane.errors import Unreachable
from groundplane.events import Emit
from groundplane.machines.base import Blueprint, HostFinding, MachineStatus, Material, Power, Provider, Tree
from groundplane.topology.model import Topology, Traits
from groundplane.transport.fake import FakeTransport


def unreachable() -> FakeTransport:
    transport = FakeTransport()
    transport.on("*", raises=Unreachable("no answer"))
    return transport


@dataclass
class Plain:
    """A provider without a power switch, consoles, faults, or a place on the LAN. All of the file's machines run, and
    none answers."""

    topology: Topology
    transport: FakeTransport = field(default_factory=unreachable)
    strangers: tuple[MachineStatus, ...] = ()
    asked: list[str] = field(default_factory=list)

    async def prepare(self) -> None: ...

    async def ensure(self, machine: str, blueprint: Blueprint) -> bool:
        self.asked.append(f"ensure {machine}")
        return False

    async def wait_ready(self, machine: str, *, deadline: float = 180, strict: bool = True) -> str:
        return "running"

    async def remove(self, machine: str) -> None:
        self.asked.append(f"remove {machine}")

    async def destroy(self) -> None:
        self.asked.append("destroy")

    def remains(self) -> bool:
        return True

    def status(self) -> tuple[MachineStatus, ...]:
        running = (MachineStatus(machine.name, Power.RUNNING) for machine in self.topology.machines)
        return (*running, *self.strangers)

    def api_endpoint(self) -> tuple[str, int]:
        return "192.0.2.10", 6443


@dataclass
class Scripted:
    """The kind of it. ``found`` is how machines would be made now; ``told`` what it was asked to work on."""

    found: Traits = field(default_factory=Traits)
    needs_root: bool = False
    expendable: bool = False
    material: frozenset[Tree] = frozenset()
    findings: tuple[HostFinding, ...] = (HostFinding("a way there", True, "a road"),)
    strangers: tuple[MachineStatus, ...] = ()
    told: list[tuple[str, Material | None]] = field(default_factory=list)

    def traits(self) -> Traits:
        return self.found

    def examine(self, state: Path) -> tuple[HostFinding, ...]:
        return self.findings

    def provider(self, topology: Topology, material: Material | None, folder: Path, emit: Emit) -> Provider:
        self.told.append((topology.name, material))
        return Plain(topology, strangers=self.strangers)
