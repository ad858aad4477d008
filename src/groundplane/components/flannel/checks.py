"""How we know that flannel does its work; that pods reach each other over it is verified with real pods."""

from __future__ import annotations

from groundplane.components.cluster.api import kubectl, loads, read
from groundplane.components.cluster.names import API
from groundplane.components.flannel.network import NAMESPACE, NETWORK
from groundplane.errors import StepError
from groundplane.state.step import Reach
from groundplane.topology.model import Topology
from groundplane.verify.check import RECOVERY, Check
from groundplane.verify.condition import NotYet


def checks(topology: Topology) -> tuple[Check, ...]:
    async def probe(reach: Reach) -> str:
        argv = kubectl("get", "daemonset", "kube-flannel-ds", f"--namespace={NAMESPACE}", "--output=json")
        try:
            status = loads((await read(reach, topology, argv)).text).get("status", {})
        except StepError as error:
            raise NotYet(error.detail or error.what) from error
        wanted, ready = len(topology.nodes), int(status.get("numberReady", 0))
        updated = int(status.get("updatedNumberScheduled", 0))
        if ready < wanted or updated < wanted:
            raise NotYet(f"flannel is ready on {ready} and current on {updated} of {wanted} nodes")
        return f"flannel is ready on all {wanted} nodes"

    return (
        Check(
            name="flannel",
            title="flannel runs on every node",
            deadline=RECOVERY,
            remedy=f"{NETWORK.shown_by} shows where it doesn't, `kubectl logs` there tells why",
            probe=probe,
            needs=(API,),
        ),
    )
