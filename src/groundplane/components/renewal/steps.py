"""The one act: have every certificate that kubeadm made on a control plane be good, before anybody needs it.

It takes nobody else's help, for where everything is over nobody can give any: not the API's, nor etcd's.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

from groundplane.components.cluster.names import certificates_name
from groundplane.components.kubeadm.founding import INIT_DEADLINE
from groundplane.components.kubeadm.run import idle
from groundplane.components.renewal import wanted
from groundplane.components.renewal.fragment import RENEW_PROGRAM
from groundplane.errors import StepError, TransportError
from groundplane.state.step import Reach, Step
from groundplane.topology.model import Machine, Topology

_LOOK: Final = (Path(__file__).parent / "remote" / "look.py").read_text()
_RUN = 150.0
"""Seconds for one run: three servers are ended at most, and one is waited for."""


def steps(topology: Topology) -> tuple[Step, ...]:
    return tuple(_step(topology, machine) for machine in topology.control_planes)


def _step(topology: Topology, machine: Machine) -> Step:
    async def look(reach: Reach) -> str:
        argv = ("python3", "-I", "-S", "-c", _LOOK, RENEW_PROGRAM)
        given = wanted.certificates_by(topology, machine)
        return (await reach.run(machine.name, argv, stdin=given, timeout=30)).text

    async def probe(reach: Reach) -> bool:
        return not await look(reach)

    async def act(reach: Reach) -> None:
        await idle(reach, topology, machine, deadline=INIT_DEADLINE)
        argv = ("python3", "-I", "-c", RENEW_PROGRAM, "renew")
        given = wanted.certificates_by(topology, machine, keys=True)
        try:
            await reach.run(machine.name, argv, stdin=given, timeout=_RUN)
        except TransportError as error:
            raise StepError(
                "its certificates could not be renewed",
                where=machine.name,
                hint="once that is mended, run the command again: what was renewed stays so",
                detail=error.detail or error.what,
            ) from error

    async def instead(reach: Reach) -> tuple[str, float | None]:
        return "; ".join((await look(reach)).splitlines()), None

    return Step(
        name=certificates_name(machine),
        machine=machine.name,
        why="renew what kubeadm made of certificates there: nobody believes one that is over, or that another signed",
        probe=probe,
        act=act,
        needs_machines=(machine.name,),
        deadline=INIT_DEADLINE + _RUN + 30,
        instead=instead,
        mends=(),
    )
