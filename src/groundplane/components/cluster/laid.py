"""What a pod of a DaemonSet lays on its node for all others: rules, a device.

The pod goes on when somebody removes them, and many a daemon lays them only when it begins. So they are looked for on
the node itself, and a new pod brings them back.
"""

from __future__ import annotations

from dataclasses import dataclass
from time import monotonic

from groundplane.components.cluster.api import ask, kubectl
from groundplane.components.cluster.names import join_name, ready_name
from groundplane.state.step import Reach, Step
from groundplane.topology.model import Machine, Topology
from groundplane.verify.condition import NotYet, wait_until

_ITSELF = 15.0
"""Seconds a pod has to lay it itself: it may just have begun, as on a node that joined a moment ago."""
_DEADLINE = 170.0


@dataclass(frozen=True, slots=True)
class Laid:
    """``look`` is a shell script that ends with 0 on a node where all is there, and else says what isn't."""

    name: str
    why: str
    look: str
    namespace: str
    selector: str


def step(topology: Topology, machine: Machine, laid: Laid, *needs: str) -> Step:
    """The step that has ``laid`` on ``machine``."""

    async def missing(reach: Reach) -> str:
        answer = await reach.run(machine.name, ("sh", "-c", laid.look), timeout=20, check=False)
        return "" if answer.status == 0 else answer.text or f"nobody knows: status {answer.status}"

    async def probe(reach: Reach) -> bool:
        return not await missing(reach)

    async def act(reach: Reach) -> None:
        begin, renewed = monotonic(), False

        async def there() -> None:
            nonlocal renewed
            if not (lacking := await missing(reach)):
                return
            if not renewed and monotonic() - begin >= _ITSELF:
                await _renew(reach, topology, machine, laid)
                renewed = True
            raise NotYet(lacking)

        await wait_until(
            laid.why,
            there,
            deadline=_DEADLINE,
            every=1,
            where=machine.name,
            hint=f"`groundplane kubectl -n {laid.namespace} logs -l {laid.selector}` tells why they don't lay it",
        )

    async def instead(reach: Reach) -> tuple[str, float | None]:
        return await missing(reach), None

    return Step(
        name=f"{laid.name}:{machine.name}",
        machine=machine.name,
        why=laid.why,
        probe=probe,
        act=act,
        needs=(join_name(machine), *needs),
        needs_machines=(machine.name,),
        deadline=_DEADLINE + 30,
        instead=instead,
        mends=(join_name(machine), ready_name(machine), *needs),
    )


async def _renew(reach: Reach, topology: Topology, machine: Machine, laid: Laid) -> None:
    """Delete the node's pod: its DaemonSet makes another. Where there is none yet, nothing happens."""
    argv = kubectl(
        "delete",
        "pods",
        f"--namespace={laid.namespace}",
        f"--selector={laid.selector}",
        f"--field-selector=spec.nodeName={machine.name}",
        "--wait=false",
    )
    await ask(reach, topology, argv)
