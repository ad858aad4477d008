"""What the components make of a topology: every machine's desired state, the Steps, the checks. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace

from groundplane.components.base import Component
from groundplane.components.catalog import COMPONENTS
from groundplane.state import MachineState, Step, compose
from groundplane.state.compose import key_of
from groundplane.state.model import Resource
from groundplane.topology.model import Machine, Topology
from groundplane.verify.check import Check


@dataclass(frozen=True, slots=True)
class Part:
    """What one component has to do with a platform: what it adds to each machine it adds to, its checks, and itself."""

    component: Component
    adds: Mapping[str, tuple[Resource, ...]]
    checks: tuple[Check, ...]

    @property
    def meanwhile(self) -> tuple[Check, ...]:
        """Those of its checks that can hold while machines change, come or go."""
        return tuple(check for check in self.checks if not check.overall)

    def keys(self, machine: str) -> frozenset[str]:
        """What a Change of something it adds to ``machine`` bears as its key: paths, names."""
        return frozenset(key_of(resource) for resource in self.adds.get(machine, ()))


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

    def checks_after(self, machine: str, keys: Iterable[str], standing: Design | None = None) -> tuple[Check, ...]:
        """The checks of the components to which any of ``keys`` (paths, names) on ``machine`` belongs.

        A key that no component knows any more was somebody's once: then all that have to do with the machine.
        While machines come or go, ``standing`` is the design without them, and its checks are the ones: a component
        whose part of ``machine`` depends on them can't be judged before they are there, or gone.
        """
        touched = frozenset(keys)
        here = [part for part in self.parts if machine in part.adds]
        known = frozenset[str]().union(*(part.keys(machine) for part in here))
        concerned = [part for part in here if part.keys(machine) & touched or touched - known]
        if standing is None:
            return tuple(check for part in concerned for check in part.meanwhile)
        now = {part.component.name: part for part in standing.parts}
        return tuple(
            check
            for part in concerned
            if now[part.component.name].adds.get(machine) == part.adds[machine]
            for check in now[part.component.name].meanwhile
        )

    def checks_beside(self, standing: Design | None = None) -> tuple[Check, ...]:
        """Every check that can be judged while machines change, come or go. ``standing`` is the design without those
        that come or go: its checks are the ones, but for components whose part of a machine depends on them."""
        if standing is None:
            return tuple(check for part in self.parts for check in part.meanwhile)
        ours = {part.component.name: part for part in self.parts}
        return tuple(
            check
            for part in standing.parts
            if all(ours[part.component.name].adds.get(machine) == adds for machine, adds in part.adds.items())
            for check in part.meanwhile
        )

    def spares(self, machine: str) -> tuple[Check, ...]:
        """The checks that others can carry what ``machine`` does while it is worked on."""
        found = self.topology.machine(machine)
        checks = (part.component.spare(self.topology, found) for part in self.parts)
        return tuple(check for check in checks if check is not None)

    def without(self, machine: str) -> tuple[Check, ...]:
        """The checks that others can do without ``machine`` until another one is in its place."""
        return (*self.spares(machine), *self.parting(self.topology, self.topology.machine(machine)))

    def parting(self, topology: Topology, machine: Machine) -> tuple[Check, ...]:
        """The checks that what stands, ``topology``, can do without ``machine`` of it, beside those that it is spared:
        these count votes that are about to change."""
        checks = (part.component.without(topology, machine) for part in self.parts)
        return tuple(check for check in checks if check is not None)

    def leaving(self, machine: Machine) -> tuple[Step, ...]:
        """The Steps by which ``machine`` leaves; the last components first, since they lean on the others."""
        others = replace(
            self.topology, machines=tuple(other for other in self.topology.machines if other.name != machine.name)
        )
        parts = reversed(self.parts)
        return tuple(step for part in parts for step in part.component.leaving(others, machine))

    def among(self, names: Collection[str]) -> Design:
        """The design of the machines in ``names`` alone."""
        if all(machine.name in names for machine in self.topology.machines):
            return self
        machines = tuple(machine for machine in self.topology.machines if machine.name in names)
        return design(replace(self.topology, machines=machines))


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
            compose(
                machine.name,
                filter(None, (fragments[component.name, machine.name] for component in COMPONENTS)),
                topology.software.programs,
            )
            for machine in topology.machines
        ),
        steps=tuple(step for component in COMPONENTS for step in component.steps(topology)),
        parts=tuple(
            Part(
                component,
                {machine.name: found for machine in topology.machines if (found := resources(component, machine))},
                component.checks(topology),
            )
            for component in COMPONENTS
        ),
    )
