"""Corosync's acts: a balancer that is alone stops asking for the vote, once its Corosync needs none."""

from __future__ import annotations

from groundplane.components.corosync.fragment import QDEVICE_UNIT
from groundplane.errors import StepError, TransportError
from groundplane.state.step import Reach, Step
from groundplane.topology.model import Machine, Topology

VOTE_RELEASED = "vote-released"
_RUNNING = ("active", "activating", "reloading", "deactivating")


def steps(topology: Topology) -> tuple[Step, ...]:
    """One for each balancer that does without the vote: ended any sooner it would take the majority with it."""
    if topology.third_vote:
        return ()
    return tuple(_released(machine) for machine in topology.balancers)


def _released(machine: Machine) -> Step:
    async def probe(reach: Reach) -> bool:
        try:
            answer = await reach.run(machine.name, ["systemctl", "is-active", QDEVICE_UNIT], timeout=15, check=False)
        except TransportError:
            return False
        # It ends by itself when the vote is no longer its Corosync's, and systemd starts it again.
        return answer.text not in _RUNNING

    async def act(reach: Reach) -> None:
        key = "quorum.device.model"
        configured = await reach.run(machine.name, ["corosync-cmapctl", "-g", key], timeout=15, check=False)
        if configured.status == 0:
            raise StepError(
                "its Corosync counts on the gateway's vote still",
                where=machine.name,
                hint="it has not taken up its configuration: see `journalctl -u corosync` there",
            )
        await reach.run(machine.name, ["systemctl", "stop", QDEVICE_UNIT], timeout=60)
        # Stopped between two starts, or while it lost its Corosync, it would count as failed.
        await reach.run(machine.name, ["systemctl", "reset-failed", QDEVICE_UNIT], timeout=15, check=False)

    return Step(
        name=f"{VOTE_RELEASED}:{machine.name}",
        machine=machine.name,
        why="let it be its own majority, without the gateway's vote",
        probe=probe,
        act=act,
        needs_machines=(machine.name,),
        deadline=120,
        tidies=True,
    )
