"""What the components make of a topology: every machine's desired state, the Steps, the checks. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from groundplane.components.base import Component
from groundplane.components.catalog import COMPONENTS
from groundplane.state import MachineState, Step, compose
from groundplane.state.compose import key_of
from groundplane.state.model import Resource
from groundplane.topology.model import Machine, Topology
from groundplane.verify.check import Check


@dataclass(frozen=True, slots=True)
class Part:
    """What one component has to do with a platform: the machines it adds to, each with the keys of what it adds
    (paths, names), its checks, and itself."""

    component: Component
    keys: dict[str, frozenset[str]]
    checks: tuple[Check, ...]


@dataclass(frozen=True, slots=True)
class Design:
    """A platform fully designed, before anything is touched. ``states`` are in the topology's order."""

    topology: Topology
    states: tuple[MachineState, ...]
    steps: tuple[Step, ...]
    parts: tuple[Part, ...]

    @property
    def checks(self) -> tuple[Check, ...]:
        """Every check of every component."""
        return tuple(check for part in self.parts for check in part.checks)

    @property
    def packages(self) -> tuple[str, ...]:
        """Every Debian package any machine needs: what the one base image carries."""
        return tuple(sorted({package.name for state in self.states for package in state.packages}))

    @property
    def interrupts(self) -> dict[str, str]:
        """What a restart of a unit interrupts, by the unit's name."""
        return {unit: words for part in self.parts for unit, words in part.component.interrupts.items()}

    def checks_after(self, machine: str, keys: Iterable[str]) -> tuple[Check, ...]:
        """The checks of the components to which any of ``keys`` (paths, names) on ``machine`` belongs.

        A key that no component knows any more was somebody's once: then all that have to do with the machine.
        """
        touched = frozenset(keys)
        here = [part for part in self.parts if machine in part.keys]
        known = frozenset[str]().union(*(part.keys[machine] for part in here))
        concerned = [part for part in here if part.keys[machine] & touched or touched - known]
        return tuple(check for part in concerned for check in part.checks)

    def spares(self, machine: str) -> tuple[Check, ...]:
        """The checks that others can carry what ``machine`` does while it is worked on."""
        found = self.topology.machine(machine)
        checks = (part.component.spare(self.topology, found) for part in self.parts)
        return tuple(check for check in checks if check is not None)


def design(topology: Topology) -> Design:
    """Ask every component what it adds; StateError when two contradict each other."""
    fragments = {
        (component.name, machine.name): component.fragment(topology, machine)
        for machine in topology.machines
        for component in COMPONENTS
    }

    def resources(component: Component, machine: Machine) -> tuple[Resource, ...]:
        fragment = fragments[component.name, machine.name]
        return fragment.resources if fragment else ()

    return Design(
        topology=topology,
        states=tuple(
            compose(machine.name, filter(None, (fragments[component.name, machine.name] for component in COMPONENTS)))
            for machine in topology.machines
        ),
        steps=tuple(step for component in COMPONENTS for step in component.steps(topology)),
        parts=tuple(
            Part(
                component,
                {
                    machine.name: frozenset(key_of(resource) for resource in found)
                    for machine in topology.machines
                    if (found := resources(component, machine))
                },
                component.checks(topology),
            )
            for component in COMPONENTS
        ),
    )
