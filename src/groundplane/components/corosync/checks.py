"""How we know that membership holds: every balancer is quorate with all votes, and nothing travels in the clear."""

from __future__ import annotations

from groundplane.components.corosync.quorum import lacking, seen_by
from groundplane.state.step import Reach
from groundplane.topology.model import Topology
from groundplane.verify.check import RECOVERY, Check
from groundplane.verify.condition import NotYet

LOOK = "see `journalctl -u corosync -u corosync-qdevice -u groundplane-middle` on the balancer named"


def checks(topology: Topology) -> tuple[Check, ...]:
    return (
        Check(
            name="quorum",
            title="Every balancer is quorate with every vote",
            deadline=RECOVERY,
            remedy=LOOK,
            probe=lambda reach: _quorate(reach, topology),
        ),
        Check(
            name="membership-encrypted",
            title="The balancers' membership is encrypted and authenticated",
            deadline=RECOVERY,
            remedy=LOOK,
            probe=lambda reach: _encrypted(reach, topology),
        ),
    )


async def _quorate(reach: Reach, topology: Topology) -> str:
    names = tuple(machine.name for machine in topology.balancers)
    votes = len(names) + topology.third_vote
    for name in names:
        if problem := lacking(await seen_by(reach, name), topology):
            raise NotYet(f"{name}: {problem}")
    return f"{', '.join(names)} quorate, {votes} of {votes} votes"


async def _encrypted(reach: Reach, topology: Topology) -> str:
    wanted = {"totem.crypto_cipher": "aes256", "totem.crypto_hash": "sha256", "totem.transport": "knet"}
    for machine in topology.balancers:
        for key, value in wanted.items():
            answer = await reach.run(machine.name, ["corosync-cmapctl", "-g", key], timeout=15, check=False)
            # "totem.crypto_cipher (str) = aes256"
            seen = answer.text.rpartition(" = ")[2]
            if seen != value:
                raise NotYet(f"{machine.name}: {key} is {seen or 'unset'} instead of {value}")
    return "knet, aes256, sha256"
