"""How we know that the third vote is given: it runs and each balancer is connected to it."""

from __future__ import annotations

import re

from groundplane.state.step import Reach
from groundplane.topology.model import Topology
from groundplane.verify.check import RECOVERY, Check
from groundplane.verify.condition import NotYet


def checks(topology: Topology) -> tuple[Check, ...]:
    if not topology.third_vote:
        return ()
    return (
        Check(
            name="quorum-vote",
            title="The third vote knows every balancer",
            deadline=RECOVERY,
            remedy="see `journalctl -u corosync-qnetd` on the gateway, `journalctl -u corosync-qdevice` on balancers",
            probe=lambda reach: _connected(reach, topology),
        ),
    )


async def _connected(reach: Reach, topology: Topology) -> str:
    answer = await reach.run(
        topology.gateway.name, ["corosync-qnetd-tool", "-l", "-v", "-c", topology.name], timeout=15
    )
    verified = clients(answer.text)
    names = [machine.name for machine in topology.balancers]
    missing = [machine.name for machine in topology.balancers if str(machine.address) not in verified]
    if missing:
        raise NotYet(f"not connected: {', '.join(missing)}")
    open_ones = [machine.name for machine in topology.balancers if not verified[str(machine.address)]]
    if open_ones:
        raise NotYet(f"connected without a verified certificate: {', '.join(open_ones)}")
    if strangers := sorted(verified.keys() - {str(machine.address) for machine in topology.balancers}):
        raise NotYet(f"connected, but no balancer of this platform: {', '.join(strangers)}")
    return f"{', '.join(names)} connected over TLS, certificates verified"


def clients(text: str) -> dict[str, bool]:
    """Each client's address and whether its certificate was verified, from ``corosync-qnetd-tool -l -v``.

    The tool has no other output (corosync-qnetd-tool(8)); each client has a ``Client address: ADDRESS:PORT`` line and,
    after it, a ``TLS active: Yes (client certificate verified)`` line.
    """
    pattern = r"Client address:\s*(?:::ffff:)?([0-9.]+):\d+.*?TLS active:\s*([^\n]*)"
    found = re.finditer(pattern, text, re.DOTALL)
    return {match[1]: match[2].strip() == "Yes (client certificate verified)" for match in found}
