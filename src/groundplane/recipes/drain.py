"""``drain`` and ``undrain``: a node that is meant to be empty for a while."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING

from groundplane.errors import UsageError
from groundplane.events import reported
from groundplane.recipes.common import Options, held, journaled, known_machine

if TYPE_CHECKING:
    from groundplane.state.step import Reach
    from groundplane.topology.model import Machine, Topology


async def drain(options: Options, names: Sequence[str], deadline: float) -> None:
    """Have the pods of ``names`` run elsewhere, one node after the other, ``deadline`` seconds for each. They stay away
    until ``undrain``. Raises StepError, or ConditionTimeout, that names what is in the way."""
    from groundplane.components.cluster import draining

    async def empty(reach: Reach, topology: Topology, machine: Machine) -> None:
        await draining.keep_empty(reach, topology, machine, kept=True)
        await draining.drain(reach, topology, machine, deadline=deadline)

    await _each(options, "drain", names, empty)


async def undrain(options: Options, names: Sequence[str]) -> None:
    """Let pods come to the nodes of ``names`` again."""
    from groundplane.components.cluster import draining

    await _each(options, "undrain", names, draining.undrain)


async def _each(
    options: Options,
    verb: str,
    names: Sequence[str],
    work: Callable[[Reach, Topology, Machine], Awaitable[None]],
) -> None:
    """Do ``work`` on the nodes of ``names``, one after the other, under the platform's lock and journaled."""
    command = f"{verb} {' '.join(names)}"
    with held(options, command) as (store, design, provider):
        topology = design.topology
        nodes = [_node(topology, name) for name in names]
        with journaled(options, store, command) as (emit, _):
            for machine in nodes:
                with reported(emit, machine.name, verb):
                    await work(provider.transport, topology, machine)


def _node(topology: Topology, name: str) -> Machine:
    machine = topology.machine(known_machine(topology, name))
    if not machine.is_node:
        names = ", ".join(node.name for node in topology.nodes)
        raise UsageError(f"{name} runs no pods", hint=f"the nodes are: {names}")
    return machine
