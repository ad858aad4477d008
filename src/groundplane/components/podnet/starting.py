"""Why a probe pod doesn't run: where it has no room, and the last event of each that isn't ready. Pure reading."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from groundplane.components.cluster.api import kubectl, loads, pod_ready
from groundplane.state.step import Reach
from groundplane.verify.condition import NotYet

_COUNT = re.compile(r"^\d+ ")
_ELSEWHERE = re.compile(r"node\(s\) didn't (satisfy|match) .*([Aa]ffinity|selector)")
"""What the scheduler says of the nodes that the pod isn't meant for: a DaemonSet's pod is for one node."""


async def unready(reach: Reach, machine: str, namespace: str, wanted: Sequence[str]) -> NotYet:
    """What to raise where the probe pods in ``namespace`` don't become ready on the nodes ``wanted``."""
    argv = kubectl("get", "pods,events", f"--namespace={namespace}", "--output=json")
    items = loads((await reach.run(machine, argv)).text)["items"]
    events = _last_events(items)
    return reasons([item for item in items if item["kind"] == "Pod"], events, wanted, _refusal(events.values()))


def _last_events(items: Iterable[Mapping[str, Any]]) -> dict[str, Mapping[str, Any]]:
    """The last event about each object, by the object's UID."""
    found = sorted((item for item in items if item["kind"] == "Event"), key=_when)
    return {event["involvedObject"].get("uid", ""): event for event in found}


def _refusal(events: Iterable[Mapping[str, Any]]) -> str:
    """Why the DaemonSet may not make its pods; empty where nothing says so."""
    refused = [event for event in events if event.get("reason") == "FailedCreate"]
    return str(max(refused, key=_when).get("message", "")) if refused else ""


def _when(event: Mapping[str, Any]) -> str:
    # Which of them is set depends on who wrote it; all are RFC 3339 in UTC, so text sorts like time.
    return event.get("lastTimestamp") or event.get("eventTime") or event["metadata"].get("creationTimestamp") or ""


def reasons(
    pods: Sequence[Mapping[str, Any]],
    events: Mapping[str, Mapping[str, Any]],
    wanted: Sequence[str],
    refusal: str = "",
) -> NotYet:
    """Each node's reason, and a remedy where all of them are the same kind: no room, or none may be made."""
    none = f"no probe pod was made for it{f': {refusal}' if refusal else ''}"
    said: dict[str, str] = dict.fromkeys(wanted, none)
    full: list[str] = []
    for pod in pods:
        node = node_of(pod)
        if pod_ready(pod):
            said.pop(node, None)
            continue
        event = events.get(pod["metadata"]["uid"])
        reason, message = (event.get("reason", ""), event.get("message", "")) if event else ("", "")
        if reason == "FailedScheduling":
            said[node] = f"no room on {node}: {lacking(message)}"
            full.append(node)
        else:
            said[node] = f"the probe pod on {node} is {_state(pod)}" + (f", {reason}: {message}" if event else "")
    words = "; ".join(text if node in text else f"{node}: {text}" for node, text in sorted(said.items()))
    remedy = ""
    if full and len(full) == len(said):
        remedy = f"`kubectl describe node {full[0]}` shows which pods ask for what there"
    elif refusal and set(said.values()) == {none}:
        remedy = "let pods be made in namespaces called `groundplane-verify-…`, by whatever is named"
    return NotYet(words or "the probe pods have only just become ready", remedy=remedy)


def node_of(pod: Mapping[str, Any]) -> str:
    """The node a pod is on, or is meant for: the DaemonSet controller asks for it by name."""
    spec = pod["spec"]
    if name := spec.get("nodeName"):
        return str(name)
    required = spec.get("affinity", {}).get("nodeAffinity", {}).get("requiredDuringSchedulingIgnoredDuringExecution")
    for term in (required or {}).get("nodeSelectorTerms", ()):
        for field in term.get("matchFields", ()):
            if field.get("key") == "metadata.name" and field.get("values"):
                return str(field["values"][0])
    return "a node"


def lacking(message: str) -> str:
    """What a node lacks, of the scheduler's ``0/5 nodes are available: 1 Insufficient cpu, 4 node(s) didn't …. …``."""
    _, _, rest = message.partition("nodes are available: ")
    parts = [_COUNT.sub("", part).rstrip(".") for part in re.split(r", (?=\d)", rest.partition(" preemption:")[0])]
    own = [part for part in parts if part and not _ELSEWHERE.match(part)]
    return ", ".join(own) or message


def _state(pod: Mapping[str, Any]) -> str:
    """What its container waits for, else its phase: ``ContainerCreating``, ``Pending``."""
    for container in pod.get("status", {}).get("containerStatuses", ()):
        if reason := container.get("state", {}).get("waiting", {}).get("reason"):
            return str(reason)
    return str(pod.get("status", {}).get("phase", "unknown"))
