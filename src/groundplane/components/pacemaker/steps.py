"""Pacemaker's acts: its living configuration is what the file wants."""

from __future__ import annotations

from groundplane.components.pacemaker.configuration import Comparison
from groundplane.components.pacemaker.living import READY, SETTLE, awaited, comparison, forget, living, replace, settled
from groundplane.errors import StepError
from groundplane.state.step import Reach, Step
from groundplane.topology.model import Topology

CONFIGURATION = "pacemaker-configuration"
ATTEMPTS = 5
"""How often a change is tried: Pacemaker notes what its resources do in the same document, and refuses a change of what
it was before."""
SHOWN = 3
"""How many differences are told one by one."""


def steps(topology: Topology) -> tuple[Step, ...]:
    """The one Step of the balancers' Pacemaker, whichever of them is up."""
    return (_configuration(topology),)


def _configuration(topology: Topology) -> Step:
    async def look(reach: Reach) -> Comparison:
        return comparison(await living(reach, topology), topology)

    async def probe(reach: Reach) -> bool:
        try:
            found = await look(reach)
        except StepError:
            return False
        return not (found.differences or found.strangers)

    async def act(reach: Reach) -> None:
        await bring_about(reach, topology)

    async def instead(reach: Reach) -> tuple[str, float | None]:
        try:
            return words(await look(reach)), None
        except StepError as error:
            return str(error), None

    return Step(
        name=CONFIGURATION,
        machine="platform",
        why="have Pacemaker run HAProxy and the floating address as the file says",
        probe=probe,
        act=act,
        needs_machines=tuple(machine.name for machine in topology.balancers),
        deadline=READY + 2 * SETTLE + 120,
        tidies=True,
        instead=instead,
    )


async def bring_about(reach: Reach, topology: Topology) -> None:
    """Change what differs, and wait until Pacemaker has done what follows from it. Raises StepError."""
    for attempt in range(1, ATTEMPTS + 1):
        there = await awaited(reach, topology)
        found = comparison(there, topology)
        if not found.differences:
            break
        try:
            await replace(reach, there, found.target)
            break
        except StepError:
            if attempt == ATTEMPTS:
                raise
    for name in found.strangers:
        await forget(reach, there.balancer, name)
    await settled(reach, there.balancer)


def words(found: Comparison) -> str:
    """What differs, and what changing it interrupts, in a line."""
    said = [*found.differences, *(f"it remembers {name}, no balancer of this platform" for name in found.strangers)]
    more = f" and {len(said) - SHOWN} more" if len(said) > SHOWN else ""
    restarts = f"; changing it restarts {' and '.join(found.restarts)}" if found.restarts else ""
    return f"{'; '.join(said[:SHOWN])}{more}{restarts}"
