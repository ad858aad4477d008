"""The ports of a node by which its pods are reached (hostPort): looked for there, and laid again by the plugin.

A pod's are laid when it is attached and never again, so a packet filter that somebody emptied stays without them for as
long as the pod lives.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

from groundplane.components.cluster.names import join_name, ready_name
from groundplane.errors import StepError
from groundplane.state.step import Completed, Reach, Step
from groundplane.topology.model import Machine

_SCRIPT: Final = (Path(__file__).parent / "remote" / "host_ports.py").read_text()
_DEADLINE: Final = 60.0


def step(machine: Machine) -> Step:
    """The step that has each pod on ``machine`` reached by the ports it asked for."""

    async def ask(reach: Reach, what: str) -> Completed:
        argv = ("python3", "-I", "-S", "-c", _SCRIPT, what)
        return await reach.run(machine.name, argv, timeout=_DEADLINE / 2, check=False)

    async def probe(reach: Reach) -> bool:
        return (await ask(reach, "look")).status == 0

    async def act(reach: Reach) -> None:
        answer = await ask(reach, "mend")
        if answer.status != 0:
            raise StepError(
                "pods are not reached by the node's ports",
                where=machine.name,
                hint="delete such a pod: the one that takes its place is attached anew",
                detail=answer.stderr.decode(errors="replace").strip(),
            )

    async def instead(reach: Reach) -> tuple[str, float | None]:
        return (await ask(reach, "look")).text, None

    return Step(
        name=f"host-ports:{machine.name}",
        machine=machine.name,
        why="have its pods reached by the ports of it that they ask for",
        probe=probe,
        act=act,
        needs=(join_name(machine),),
        needs_machines=(machine.name,),
        deadline=_DEADLINE,
        instead=instead,
        mends=(join_name(machine), ready_name(machine)),
    )
