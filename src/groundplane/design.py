"""What the components make of a topology: every machine's desired state, the Steps, the checks. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from groundplane.components.catalog import COMPONENTS
from groundplane.state import MachineState, Step, compose
from groundplane.topology.model import Topology
from groundplane.verify.check import Check


@dataclass(frozen=True, slots=True)
class Design:
    """A platform fully designed, before anything is touched. ``states`` are in the topology's order."""

    topology: Topology
    states: tuple[MachineState, ...]
    steps: tuple[Step, ...]
    checks: tuple[Check, ...]

    @property
    def packages(self) -> tuple[str, ...]:
        """Every Debian package any machine needs: what the one base image carries."""
        return tuple(sorted({package.name for state in self.states for package in state.packages}))


def design(topology: Topology) -> Design:
    """Ask every component what it adds; StateError when two contradict each other."""
    return Design(
        topology=topology,
        states=tuple(
            compose(
                machine.name,
                filter(None, (component.fragment(topology, machine) for component in COMPONENTS)),
            )
            for machine in topology.machines
        ),
        steps=tuple(step for component in COMPONENTS for step in component.steps(topology)),
        checks=tuple(check for component in COMPONENTS for check in component.checks(topology)),
    )
