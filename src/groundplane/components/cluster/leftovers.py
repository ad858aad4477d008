"""What somebody's removed software leaves in the cluster, and what then no longer ends or is refused.

An aggregated API without a server keeps every namespace from ending, for nobody can say whether it has objects of it;
a webhook without one that must be asked refuses whatever it is asked for. A conversion without one does both: no object
of its kind can be read, so no namespace with any ends.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from groundplane.components.cluster.api import kubectl, loads, read
from groundplane.state.step import Reach
from groundplane.topology.model import Topology
from groundplane.verify.condition import NotYet

PATIENCE = timedelta(minutes=1)
"""How long a namespace may take to end before that is a finding."""
_KINDS = "apiservices,validatingwebhookconfigurations,mutatingwebhookconfigurations,namespaces"
_WEBHOOKS = ("ValidatingWebhookConfiguration", "MutatingWebhookConfiguration")
# Only what is needed of them: their schemas may be megabytes.
_CONVERTED = (
    '{range .items[?(@.spec.conversion.strategy=="Webhook")]}{.metadata.name}'
    '{" "}{.spec.conversion.webhook.clientConfig.service.namespace}'
    '{" "}{.spec.conversion.webhook.clientConfig.service.name}{"\\n"}{end}'
)


async def none_left(reach: Reach, topology: Topology) -> str:
    """That nothing of the kind is there; NotYet names each and what to run."""
    found = loads((await read(reach, topology, kubectl("get", _KINDS, "--output=json"))).text)["items"]
    kinds = await read(reach, topology, kubectl("get", "customresourcedefinitions", f"--output=jsonpath={_CONVERTED}"))
    converted = [words for words in map(str.split, kinds.text.splitlines()) if len(words) == 3]
    served: frozenset[tuple[str, str]] = frozenset()
    if converted or any(_services(item) for item in found):
        argv = kubectl("get", "endpointslices", "--all-namespaces", "--output=json")
        served = ready_services(loads((await read(reach, topology, argv)).text)["items"])
    findings = [
        *_apis(found),
        *_webhooks(found, served),
        *_conversions(converted, served),
        *_namespaces(found, datetime.now(UTC)),
    ]
    if findings:
        remedies = dict.fromkeys(remedy for _, remedy in findings if remedy)
        raise NotYet("; ".join(words for words, _ in findings), remedy="; ".join(remedies))
    return "every aggregated API and webhook has a server, every removed namespace is gone"


def _apis(items: Sequence[Mapping[str, Any]]) -> Iterator[tuple[str, str]]:
    """(what is wrong, what to do) for each aggregated API that isn't available."""
    for item in items:
        if item["kind"] != "APIService":
            continue
        name = item["metadata"]["name"]
        for condition in item.get("status", {}).get("conditions", ()):
            if condition["type"] == "Available" and condition["status"] != "True":
                words = f"the API {name} isn't available: {condition.get('message', condition.get('reason', ''))}"
                yield words, f"start its server again, or `kubectl delete apiservice {name}`"


def _webhooks(items: Sequence[Mapping[str, Any]], served: frozenset[tuple[str, str]]) -> Iterator[tuple[str, str]]:
    for item in items:
        name = item["metadata"]["name"]
        for namespace, service in _services(item):
            if (namespace, service) not in served:
                words = f"the webhook {name} must be asked, and no server is behind {namespace}/{service}"
                yield words, f"start its server again, or `kubectl delete {item['kind'].lower()} {name}`"


def _conversions(converted: Iterable[Sequence[str]], served: frozenset[tuple[str, str]]) -> Iterator[tuple[str, str]]:
    """``converted``: (CRD, namespace, Service) of each kind whose versions a webhook turns into each other."""
    for name, namespace, service in converted:
        if (namespace, service) not in served:
            words = f"the kind {name} is converted by a webhook, and no server is behind {namespace}/{service}"
            yield words, f"start its server again, or `kubectl delete crd {name}`, and all objects of it with it"


def _services(item: Mapping[str, Any]) -> tuple[tuple[str, str], ...]:
    """(namespace, name) of the Services behind the webhooks of ``item`` that refuse when they can't be asked."""
    if item["kind"] not in _WEBHOOKS:
        return ()
    found = (
        hook["clientConfig"].get("service")
        for hook in item.get("webhooks", ())
        if hook.get("failurePolicy", "Fail") == "Fail"
    )
    return tuple(dict.fromkeys((service["namespace"], service["name"]) for service in found if service))


def ready_services(slices: Sequence[Mapping[str, Any]]) -> frozenset[tuple[str, str]]:
    """(namespace, name) of the Services that somebody is ready to answer for."""
    return frozenset(
        (item["metadata"]["namespace"], item["metadata"].get("labels", {}).get("kubernetes.io/service-name", ""))
        for item in slices
        # An unset condition means ready (discovery.k8s.io/v1).
        if any(entry.get("conditions", {}).get("ready", True) is not False for entry in item.get("endpoints") or ())
    )


def _namespaces(items: Sequence[Mapping[str, Any]], now: datetime) -> Iterator[tuple[str, str]]:
    for item in items:
        removed = item["metadata"].get("deletionTimestamp")
        if item["kind"] == "Namespace" and removed and now - datetime.fromisoformat(removed) > PATIENCE:
            name = item["metadata"]["name"]
            reason = why_it_stays(item) or "the cluster doesn't say why"
            yield f"the namespace {name} was removed at {removed} and doesn't end: {reason}", ""


def why_it_stays(namespace: Mapping[str, Any]) -> str:
    """Why a namespace that was removed is still there, as its own conditions have it; empty where they say nothing."""
    conditions = namespace.get("status", {}).get("conditions", ())
    return "; ".join(
        condition.get("message") or condition.get("reason", "")
        for condition in conditions
        if condition.get("status") == "True" and condition.get("type", "").startswith("Namespace")
    )
