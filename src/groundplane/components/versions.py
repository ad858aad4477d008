"""What version of each program runs on the balancers, for the status display."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from groundplane.components.haproxy.fragment import ADMIN_SOCKET
from groundplane.errors import TransportError
from groundplane.state.step import Reach
from groundplane.topology.model import Machine, Topology

# HAProxy answers for the process that runs: on a cold standby there is none, and that is no fault.
_ASK = f"""
echo 'show info' | socat -t 5 - UNIX-CONNECT:{ADMIN_SOCKET} 2>/dev/null | sed -n 's/^Version: /HAProxy|/p'
corosync -v | sed -n "s/.* version '\\(.*\\)'.*/Corosync|\\1/p"
pacemakerd --version | sed -n 's/^Pacemaker \\([^ ]*\\).*/Pacemaker|\\1/p'
"""


@dataclass(frozen=True, slots=True)
class Version:
    """A program that runs on a machine, in the version its own words give."""

    machine: str
    program: str
    version: str


async def versions(reach: Reach, topology: Topology) -> tuple[Version, ...]:
    """Of the balancers' programs, in the topology's order; a balancer that doesn't answer has none to show."""
    answers = await asyncio.gather(*(_of(reach, machine) for machine in topology.balancers))
    return tuple(version for answer in answers for version in answer)


async def _of(reach: Reach, machine: Machine) -> tuple[Version, ...]:
    try:
        answer = await reach.run(machine.name, ("sh", "-c", _ASK), timeout=15)
    except TransportError:
        return ()
    pairs = (line.partition("|")[::2] for line in answer.text.splitlines())
    return tuple(Version(machine.name, program, version) for program, version in pairs if version)
