"""Units of ours that failed, for whoever asks how a platform is. What the agent mends, and not what else runs there."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

from groundplane.components.catalog import COMPONENTS
from groundplane.errors import TransportError
from groundplane.state.model import Unit
from groundplane.state.step import Reach
from groundplane.topology.model import Machine, Topology

_ASK = ("systemctl", "list-units", "--failed", "--plain", "--no-legend", "--no-pager")


async def failed(reach: Reach, topology: Topology) -> Mapping[str, tuple[str, ...]]:
    """The failed units of each machine that answers, by its name."""

    async def ask(machine: Machine) -> tuple[str, ...]:
        try:
            text = (await reach.run(machine.name, _ASK, timeout=10)).text
        except TransportError:
            return ()
        found = {line.split()[0] for line in text.splitlines() if line.strip()}
        return tuple(sorted(found & _ours(topology, machine))) if found else ()

    answers = await asyncio.gather(*(ask(machine) for machine in topology.machines))
    return {machine.name: units for machine, units in zip(topology.machines, answers, strict=True)}


def _ours(topology: Topology, machine: Machine) -> frozenset[str]:
    fragments = (component.fragment(topology, machine) for component in COMPONENTS)
    resources = (resource for fragment in fragments if fragment is not None for resource in fragment.resources)
    return frozenset(resource.name for resource in resources if isinstance(resource, Unit))
