"""The registry's act: it serves what today's bundle has, also where the gateway was started with an older one's."""

from __future__ import annotations

from groundplane.components.registry.checks import lacking
from groundplane.state.step import Reach, Step
from groundplane.topology.model import Topology
from groundplane.verify.condition import NotYet, wait_until


def steps(topology: Topology) -> tuple[Step, ...]:
    gateway = topology.gateway.name

    async def probe(reach: Reach) -> bool:
        return not await lacking(reach, topology)

    async def act(reach: Reach) -> None:
        async def served() -> None:
            if missing := await lacking(reach, topology):
                raise NotYet(f"it lacks {', '.join(missing)}")

        await wait_until("the registry serves the bundle's images", served, deadline=30, where=gateway, hint=_HINT)

    async def instead(reach: Reach) -> tuple[str, float | None]:
        return f"it lacks {', '.join(await lacking(reach, topology))}; {gateway} is started again", None

    return (
        Step(
            name="registry-content",
            machine=gateway,
            why="have the registry serve every image of the bundle that there is today",
            probe=probe,
            act=act,
            needs_machines=(gateway,),
            deadline=60,
            instead=instead,
            restarts=True,
        ),
    )


_HINT = "`groundplane bundle verify` tells whether the bundle has them; `groundplane replace` makes the gateway anew"
