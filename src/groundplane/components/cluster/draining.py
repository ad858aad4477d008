"""Emptying a node: no new pod goes there, and those that are there are evicted, as far as their owners allow it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from groundplane.components.cluster.api import DRAINED, Node, ask, kubectl, loads, nodes, read
from groundplane.errors import StepError
from groundplane.state.step import Reach
from groundplane.topology.model import Machine, Topology
from groundplane.verify.condition import NotYet, wait_until

PATIENCE: Final = 300.0
"""Seconds a node gets to empty: what Kubernetes itself gives pods of a node that is lost."""
_MIRROR: Final = "kubernetes.io/config.mirror"


@dataclass(frozen=True, slots=True)
class Pod:
    """A pod that has to leave a node. ``owned``: something makes another one elsewhere."""

    namespace: str
    name: str
    labels: Mapping[str, str]
    owned: bool

    def __str__(self) -> str:
        return f"{self.namespace}/{self.name}"


async def pods_to_evict(reach: Reach, topology: Topology, machine: Machine) -> tuple[Pod, ...]:
    """The pods on ``machine`` that can run elsewhere or nowhere: not those of DaemonSets, not static ones, not those
    that have ended."""
    field = f"--field-selector=spec.nodeName={machine.name},status.phase!=Succeeded,status.phase!=Failed"
    answer = await read(reach, topology, kubectl("get", "pods", "--all-namespaces", field, "--output=json"))
    return tuple(_pod(item["metadata"]) for item in loads(answer.text)["items"] if not _stays(item["metadata"]))


def _stays(metadata: Mapping[str, Any]) -> bool:
    owners = {owner["kind"] for owner in metadata.get("ownerReferences", ())}
    return "DaemonSet" in owners or _MIRROR in metadata.get("annotations", {})


def _pod(metadata: Mapping[str, Any]) -> Pod:
    owners = metadata.get("ownerReferences", ())
    return Pod(metadata["namespace"], metadata["name"], metadata.get("labels", {}), owned=bool(owners))


async def empty(reach: Reach, topology: Topology, machine: Machine) -> bool:
    """Whether nobody has to leave ``machine`` any more, or nobody can: it is no node, or one that has died."""
    node = await _living(reach, topology, machine)
    return node is None or (node.cordoned and not await pods_to_evict(reach, topology, machine))


async def _living(reach: Reach, topology: Topology, machine: Machine) -> Node | None:
    """``machine`` as a node whose kubelet still ends pods."""
    node = (await nodes(reach, topology)).get(machine.name)
    return node if node is not None and node.ready else None


async def drain(reach: Reach, topology: Topology, machine: Machine, *, deadline: float = PATIENCE) -> None:
    """Cordon ``machine`` and evict its pods, again and again until they are gone.

    Raises StepError, naming the pods and the budgets in their way, where they don't go within ``deadline`` seconds or
    where one would be lost for good. It stays cordoned then.
    """
    await ask(reach, topology, kubectl("cordon", machine.name))
    if lost := [str(pod) for pod in await pods_to_evict(reach, topology, machine) if not pod.owned]:
        raise StepError(
            f"pods that nothing would make anew run there: {', '.join(lost)}",
            where=machine.name,
            hint=f"save what they hold, delete them, and run this again; or `groundplane undrain {machine.name}`",
        )

    async def gone() -> None:
        waiting = await _evicted(reach, topology, machine)
        # One that died meanwhile, or had died before the cluster knew it, says of no pod that it has ended.
        if waiting and await _living(reach, topology, machine):
            raise NotYet("\n".join(waiting))

    await wait_until(
        "its pods leave",
        gone,
        deadline=deadline,
        every=2,
        where=machine.name,
        hint="make room for them elsewhere, or let their budget allow it, and run this again; "
        f"`groundplane undrain {machine.name}` lets pods come again",
    )


async def _evicted(reach: Reach, topology: Topology, machine: Machine) -> list[str]:
    """Evict what is there; what is in the way of each pod that stays."""
    pods = await pods_to_evict(reach, topology, machine)
    waiting = []
    for pod in pods:
        eviction = (
            f'{{"apiVersion": "policy/v1", "kind": "Eviction", '
            f'"metadata": {{"name": "{pod.name}", "namespace": "{pod.namespace}"}}}}'
        )
        path = f"/api/v1/namespaces/{pod.namespace}/pods/{pod.name}/eviction"
        try:
            await ask(
                reach, topology, kubectl("create", f"--raw={path}", "--filename=-"), stdin=eviction.encode(), attempts=1
            )
            waiting.append(f"{pod} is shutting down")
        except StepError as refused:
            waiting.append(f"{pod}: {await _in_the_way(reach, topology, pod) or refused.detail}")
    return waiting


async def _in_the_way(reach: Reach, topology: Topology, pod: Pod) -> str:
    """The PodDisruptionBudgets that allow no eviction of ``pod``, in words."""
    argv = kubectl("get", "poddisruptionbudgets", f"--namespace={pod.namespace}", "--output=json")
    found = []
    for budget in loads((await read(reach, topology, argv)).text)["items"]:
        status = budget.get("status", {})
        if status.get("disruptionsAllowed", 0) < 1 and selects(budget["spec"].get("selector", {}), pod.labels):
            healthy, wanted = status.get("currentHealthy", 0), status.get("desiredHealthy", 0)
            name = budget["metadata"]["name"]
            found.append(f"its PodDisruptionBudget {name} wants {wanted} healthy pods, and {healthy} are")
    return "; ".join(found)


def selects(selector: Mapping[str, Any], labels: Mapping[str, str]) -> bool:
    """Whether a label selector (metav1.LabelSelector) matches ``labels``; an empty one matches all."""
    return all(labels.get(key) == value for key, value in selector.get("matchLabels", {}).items()) and all(
        _meets(expression, labels) for expression in selector.get("matchExpressions", ())
    )


def _meets(expression: Mapping[str, Any], labels: Mapping[str, str]) -> bool:
    value, values = labels.get(expression["key"]), expression.get("values", ())
    match expression["operator"]:
        case "In":
            return value in values
        case "NotIn":
            return value not in values
        case "Exists":
            return value is not None
        case _:  # DoesNotExist
            return value is None


async def keep_empty(reach: Reach, topology: Topology, machine: Machine, *, kept: bool) -> None:
    """Say of a node that it is meant to stay empty, or that it is not any more."""
    annotation = f"{DRAINED}=true" if kept else f"{DRAINED}-"
    await ask(reach, topology, kubectl("annotate", "node", machine.name, annotation, "--overwrite"))


async def undrain(reach: Reach, topology: Topology, machine: Machine) -> None:
    """Let pods come to ``machine`` again."""
    await keep_empty(reach, topology, machine, kept=False)
    await ask(reach, topology, kubectl("uncordon", machine.name))
