"""Talking to the cluster through its control planes: any healthy one serves, none is special.

Everything runs on a control plane with its own admin.conf, which names the floating address.
"""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from ipaddress import IPv4Network
from typing import Any, cast

from groundplane.components.cluster import paths
from groundplane.errors import StepError, TransportError
from groundplane.state.step import Completed, Reach
from groundplane.topology.model import Machine, Topology
from groundplane.verify.condition import NotYet, wait_until

PATIENCE = 20.0  # seconds for one request
ATTEMPTS = 2
PAUSE = 1.0  # seconds between them
HEDGE = 3.0
"""Seconds after which a question goes to the next control plane as well. One that hangs is not waited for alone; where
all ask through the floating address, what hangs there hangs for each, and one after the other would take minutes to say
so."""
DRAINED = "groundplane.internal/drained"
"""The annotation of a node that somebody wants to stay empty: no drift, though no pod may go there."""
CORDON_TAINT = "node.kubernetes.io/unschedulable"
_REQUEST = f"--request-timeout={PATIENCE - 5:.0f}s"


@dataclass(frozen=True, slots=True)
class Node:
    """A Kubernetes node as the API shows it. ``version`` as ``v1.37.2``, ``runtime`` as ``containerd://2.4.2``.

    ``networked``: the pods' network has said that it is up there. ``cordoned``: no new pod goes there; ``cordoned_at``
    is since when (seconds since 1970, UTC), where it is known. ``drained``: somebody wants it to stay so. ``pods``: the
    range of its pods' addresses, once it has been given one. ``memory`` (bytes) and ``cpus`` are what its kubelet says
    the machine has.
    """

    name: str
    uid: str
    ready: bool
    version: str
    labels: frozenset[str]
    address: str
    networked: bool = False
    cordoned: bool = False
    cordoned_at: float | None = None
    drained: bool = False
    runtime: str = ""
    pods: IPv4Network | None = None
    memory: int = 0
    cpus: int = 0


def kubectl(*arguments: str) -> tuple[str, ...]:
    """The command line of one kubectl request on a control plane."""
    return ("kubectl", f"--kubeconfig={paths.ADMIN}", _REQUEST, *arguments)


def api_server(topology: Topology, machine: Machine) -> str:
    """The URL of a control plane's own API server. It is asked at the machine's address, on the machine itself too:
    where a balancer shares it, the API server has no other (its loopback neither)."""
    return f"https://{machine.address}:{topology.api_port}"


def loads(text: str) -> dict[str, Any]:
    """Parse one JSON object of a component's output; StepError when it is none."""
    try:
        found = json.loads(text)
    except ValueError as error:
        raise StepError("the cluster answered something that isn't JSON", detail=text[-500:]) from error
    return cast(dict[str, Any], found)


async def ask(
    reach: Reach,
    topology: Topology,
    argv: Sequence[str],
    *,
    stdin: bytes = b"",
    timeout: float = PATIENCE,
    attempts: int = ATTEMPTS,
    hedge: float | None = None,
) -> Completed:
    """Run ``argv`` on the first control plane, in order, where it succeeds.

    Where it succeeds on none it is tried once more a moment later: the floating address may just have moved, and
    for that moment every control plane answers the same. What is run must bear being run twice.
    With ``hedge`` (seconds) the next one is asked after so long as well, and nothing is tried once more where that
    took longer than an address ever moves: see ``read``.
    Raises StepError holding every control plane's last words when it succeeds on none then either.
    """
    answer: tuple[str, Completed] | None = None
    seen: list[str] = []
    tried = 0
    names = [machine.name for machine in topology.control_planes]
    run = partial(reach.run, argv=argv, stdin=stdin, timeout=timeout)
    clock = asyncio.get_running_loop().time
    begun = clock()

    async def once() -> None:
        nonlocal answer, tried
        tried += 1
        seen.clear()
        answer = await first_answer(names, run, hedge, seen)
        soon = hedge is None or clock() - begun < PATIENCE
        if answer is None and tried < attempts and soon:
            raise NotYet("no control plane answers")

    # Every try ends by its own timeouts; the deadline only has to be beyond them.
    bound = attempts * (len(topology.control_planes) * (timeout + 30) + PAUSE)
    await wait_until("a control plane answers", once, deadline=bound, every=PAUSE, where="platform")
    if answer is not None:
        return answer[1]
    raise StepError(
        "no control plane answers for the cluster",
        where="platform",
        hint="see `groundplane status`; `groundplane ssh CONTROL-PLANE` and `journalctl -u kubelet` tell more",
        detail="\n".join(seen),
    )


async def read(
    reach: Reach, topology: Topology, argv: Sequence[str], *, stdin: bytes = b"", attempts: int = ATTEMPTS
) -> Completed:
    """Ask for what is there, and change nothing: a control plane that lets wait is not waited for alone."""
    return await ask(reach, topology, argv, stdin=stdin, attempts=attempts, hedge=HEDGE)


async def first_answer(
    names: Sequence[str], run: Callable[[str], Awaitable[Completed]], hedge: float | None, seen: list[str]
) -> tuple[str, Completed] | None:
    """The first of the machines called ``names`` that succeeded, and its answer; the next is asked when one failed, or
    after ``hedge`` seconds. What those that failed said is added to ``seen``; None when all have."""
    left = list(names)
    running: dict[asyncio.Future[Completed], str] = {}
    try:
        while left or running:
            if left:
                name = left.pop(0)
                running[asyncio.ensure_future(run(name))] = name
            done, _ = await asyncio.wait(running, timeout=hedge if left else None, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                name = running.pop(task)
                try:
                    return name, await task
                except TransportError as error:
                    seen.append(f"{name}: {error.what} {error.detail}".strip())
    finally:
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)
    return None


async def any_control_plane(reach: Reach, topology: Topology) -> str | None:
    """A control plane through which the API answers; None when there is none."""
    names = [machine.name for machine in topology.control_planes]
    run = partial(reach.run, argv=kubectl("get", "--raw=/readyz"), timeout=PATIENCE)
    answer = await first_answer(names, run, HEDGE, [])
    return answer[0] if answer is not None else None


async def nodes(reach: Reach, topology: Topology) -> dict[str, Node]:
    """Every node of the cluster by name."""
    answer = await read(reach, topology, kubectl("get", "nodes", "--output=json"))
    found = [_node(item) for item in loads(answer.text)["items"]]
    return {node.name: node for node in found}


def pod_ready(pod: Mapping[str, Any]) -> bool:
    """Whether a pod, as the API shows it, says that it is ready."""
    conditions = pod.get("status", {}).get("conditions", ())
    return any(entry["type"] == "Ready" and entry["status"] == "True" for entry in conditions)


def _node(item: dict[str, Any]) -> Node:
    status = item.get("status", {})
    conditions = {entry["type"]: entry["status"] for entry in status.get("conditions", ())}
    addresses = {entry["type"]: entry["address"] for entry in status.get("addresses", ())}
    capacity = status.get("capacity", {})
    spec = item.get("spec", {})
    cordons = [taint.get("timeAdded") for taint in spec.get("taints", ()) if taint.get("key") == CORDON_TAINT]
    return Node(
        name=item["metadata"]["name"],
        uid=item["metadata"].get("uid", ""),
        ready=conditions.get("Ready") == "True",
        networked=conditions.get("NetworkUnavailable") == "False",
        version=status.get("nodeInfo", {}).get("kubeletVersion", ""),
        labels=frozenset(item["metadata"].get("labels", {})),
        address=addresses.get("InternalIP", ""),
        cordoned=bool(spec.get("unschedulable", False)),
        cordoned_at=_seconds(cordons[0]) if cordons and cordons[0] else None,
        drained=DRAINED in item["metadata"].get("annotations", {}),
        runtime=status.get("nodeInfo", {}).get("containerRuntimeVersion", ""),
        pods=IPv4Network(spec["podCIDR"]) if spec.get("podCIDR") else None,
        memory=whole(capacity.get("memory", "0")),
        cpus=whole(capacity.get("cpu", "0")),
    )


def whole(quantity: str) -> int:
    """An amount as a kubelet writes it: a whole number, of bytes in the largest unit that makes it one. 0 for anything
    else: who asks for a node shouldn't fail for it."""
    match = re.fullmatch("([0-9]+)(?:([KMGT])i)?", quantity)
    return int(match[1]) << 10 * " KMGT".index(match[2] or " ") if match else 0


def _seconds(moment: str) -> float:
    """A time of the API's (RFC 3339) as seconds since 1970."""
    return datetime.fromisoformat(moment).timestamp()
