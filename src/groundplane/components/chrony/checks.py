"""Whether all machines agree on the time."""

from __future__ import annotations

from groundplane.components.everywhere import everywhere
from groundplane.spec.roles import Role
from groundplane.state.step import Reach
from groundplane.topology.model import Machine, Topology
from groundplane.verify.check import RECOVERY, Check
from groundplane.verify.condition import NotYet

OFFSET = 0.05
"""Seconds a machine may be off: certificates and leases bear far more, but on a LAN more than this means trouble."""

_LOCAL = "7F7F0101"  # chrony's reference id for its own clock (`local`)


def checks(topology: Topology) -> tuple[Check, ...]:
    async def probe(reach: Reach) -> str:
        offsets: list[float] = []

        async def ask(machine: Machine) -> None:
            answer = await reach.run(machine.name, ["chronyc", "-n", "-c", "tracking"], timeout=10)
            offsets.append(follows(topology, machine, answer.text))

        asked = await everywhere(topology.machines, ask)
        return f"{asked} machines follow the gateway, at most {max(map(abs, offsets)) * 1000:.1f} ms off"

    return (
        Check(
            name="time",
            title="Every machine follows the gateway's clock",
            deadline=RECOVERY,
            remedy="on the machine, `chronyc sources` shows whether the gateway answers (+ reach), "
            "`journalctl -u chrony` why chrony would not run",
            probe=probe,
        ),
    )


def follows(topology: Topology, machine: Machine, tracking: str) -> float:
    """Seconds of offset in ``chronyc -c tracking``; NotYet where it doesn't follow who it should, or is too far off.

    The fields used: 0 reference id, 1 its address, 4 how far the system clock is off, 13 leap status.
    """
    fields = tracking.split(",")
    if len(fields) != 14:
        raise NotYet(f"chrony says: {tracking or 'nothing'}")
    reference, address, offset, leap = fields[0], fields[1], float(fields[4]), fields[13]
    if leap == "Not synchronised":
        raise NotYet("follows nobody yet")
    if machine.has(Role.GATEWAY):
        if reference != _LOCAL:
            raise NotYet(f"should go by its own clock, follows {address or reference}")
    elif address != str(topology.lan.gateway):
        raise NotYet(f"should follow {topology.lan.gateway}, follows {address or reference}")
    if abs(offset) > OFFSET:
        raise NotYet(f"is {offset * 1000:.1f} ms off")
    return offset
