"""What removed software leaves, and etcd's alarms: each a finding with its name and what to run."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from groundplane.components.cluster.leftovers import none_left
from groundplane.components.etcd.alarms import remedy
from groundplane.state.step import Completed
from groundplane.topology.model import Topology
from groundplane.transport.fake import Call, FakeTransport
from groundplane.verify.condition import NotYet

Run = Callable[[Awaitable[Any]], Any]


def api(available: str) -> dict[str, Any]:
    condition = {"type": "Available", "status": available, "message": "service/metrics-server is not present"}
    return {"kind": "APIService", "metadata": {"name": "v1beta1.x.io"}, "status": {"conditions": [condition]}}


def webhook(**hook: Any) -> dict[str, Any]:
    service = {"service": {"namespace": "guard", "name": "guard"}}
    return {
        "kind": "ValidatingWebhookConfiguration",
        "metadata": {"name": "guard"},
        "webhooks": [{"clientConfig": service, **hook}],
    }


def ending(seconds: int, **status: Any) -> dict[str, Any]:
    """A namespace that was removed so many seconds before it is asked for."""
    return {"kind": "Namespace", "metadata": {"name": "gone", "deletionTimestamp": seconds}, "status": status}


def as_of_now(item: dict[str, Any]) -> dict[str, Any]:
    if item["kind"] != "Namespace":
        return item
    at = datetime.now(UTC) - timedelta(seconds=item["metadata"]["deletionTimestamp"])
    removed = at.isoformat(timespec="seconds").replace("+00:00", "Z")
    return {**item, "metadata": {**item["metadata"], "deletionTimestamp": removed}}


def served(*, ready: bool) -> dict[str, Any]:
    labels = {"kubernetes.io/service-name": "guard"}
    return {
        "kind": "EndpointSlice",
        "metadata": {"namespace": "guard", "labels": labels},
        "endpoints": [{"conditions": {"ready": ready}}],
    }


def cluster(*items: dict[str, Any], converted: str = "") -> FakeTransport:
    """``converted``: each kind that a webhook converts, as kubectl prints them."""

    def answer(call: Call) -> Completed:
        if "customresourcedefinitions" in call.argv:
            return Completed(0, converted.encode(), b"")
        slices = "endpointslices" in call.argv
        chosen = [as_of_now(item) for item in items if (item["kind"] == "EndpointSlice") is slices]
        return Completed(0, json.dumps({"items": chosen}).encode(), b"")

    reach = FakeTransport()
    reach.on("*", "kubectl", then=answer)
    return reach


@pytest.mark.parametrize(
    "items",
    [
        (api("True"), ending(5)),
        (webhook(), served(ready=True)),
        (webhook(failurePolicy="Ignore"),),
        (webhook(clientConfig={"url": "https://guard.example/"}),),
    ],
)
def test_what_has_a_server_or_need_not_be_asked_is_no_finding(
    topology: Topology, run: Run, items: tuple[dict[str, Any], ...]
) -> None:
    assert "every removed namespace is gone" in run(none_left(cluster(*items), topology))


STUCK = {"type": "NamespaceDeletionDiscoveryFailure", "status": "True", "message": "unable to retrieve x.io/v1beta1"}


@pytest.mark.parametrize(
    ("items", "seen", "remedy"),
    [
        (
            (api("False"),),
            r"the API v1beta1\.x\.io isn't available: service/met",
            "delete apiservice v1beta1.x.io",
        ),
        ((webhook(), served(ready=False)), "the webhook guard must be asked", "validatingwebhookconfiguration guard"),
        ((webhook(failurePolicy="Fail"),), "no server is behind guard/guard", "validatingwebhookconfiguration guard"),
        ((ending(300, conditions=[STUCK]),), r"the namespace gone .*: unable to retrieve x\.io/v1beta1", ""),
    ],
)
def test_what_has_none_is_named(
    topology: Topology, run: Run, items: tuple[dict[str, Any], ...], seen: str, remedy: str
) -> None:
    with pytest.raises(NotYet, match=seen) as caught:
        run(none_left(cluster(*items), topology))
    assert remedy in caught.value.remedy


def test_a_kind_whose_conversion_has_no_server_is_named(topology: Topology, run: Run) -> None:
    kinds = "foos.stable.example.com guard guard\nbars.elsewhere.example.com  \n"  # the latter's is asked by its URL
    with pytest.raises(NotYet, match=r"foos\.stable\.example\.com is converted .* behind guard/guard") as caught:
        run(none_left(cluster(converted=kinds), topology))
    assert "kubectl delete crd foos.stable.example.com" in caught.value.remedy
    run(none_left(cluster(served(ready=True), converted=kinds), topology))


@pytest.mark.parametrize(
    ("errors", "words"),
    [
        (("memberID:7 alarm:NOSPACE ",), ("compact", "defrag --cluster", "alarm disarm")),
        (("memberID:7 alarm:CORRUPT ",), ("member remove", "groundplane up", "alarm disarm")),
    ],
)
def test_an_alarm_says_how_it_is_cleared(errors: tuple[str, ...], words: tuple[str, ...]) -> None:
    assert all(word in remedy(errors) for word in words)
    assert remedy(()) == ""
