"""Where images come from: on the nodes as containerd lists them, and in the platform's own pods."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from dataclasses import replace
from ipaddress import IPv4Address, IPv4Interface
from typing import Any

import pytest

from groundplane.components.kubeadm.origins import images
from groundplane.components.kubeadm.remote import compare_images
from groundplane.spec.model import Network, Uplink
from groundplane.state.step import Completed
from groundplane.topology.model import Topology
from groundplane.transport.fake import Call, FakeTransport
from groundplane.verify.condition import NotYet

Run = Callable[[Awaitable[Any]], Any]

REGISTRY = "registry.groundplane.internal:5000"
PAUSE, PROXY, OLD, EVIL = ("sha256:" + digit * 64 for digit in "1234")
CONFIG = "sha256:" + "c" * 64

# As ctr of containerd 2.4 prints them: a head, then a name each, a configuration's digest among them.
LISTING = f"""\
REF                       TYPE                                       DIGEST  SIZE      PLATFORMS   LABELS
registry.k8s.io/pause:3.10.2 application/vnd.oci.image.manifest.v1+json {PAUSE} 400.0 KiB linux/amd64 io.cri-containerd.image=managed,io.cri-containerd.pinned=pinned
registry.k8s.io/pause@{PAUSE} application/vnd.oci.image.manifest.v1+json {PAUSE} 400.0 KiB linux/amd64 io.cri-containerd.image=managed
{CONFIG} application/vnd.oci.image.manifest.v1+json {PAUSE} 400.0 KiB linux/amd64 io.cri-containerd.image=managed
"""  # noqa: E501

SERVED = {
    "/v2/registry.k8s.io/pause/manifests/3.10.2": PAUSE,
    f"/v2/registry.k8s.io/pause/manifests/{PAUSE}": PAUSE,
    "/v2/registry.k8s.io/kube-proxy/manifests/v1.37.2": PROXY,
    f"/v2/registry.k8s.io/kube-proxy/manifests/{OLD}": OLD,
    "/v2/team/app/manifests/1.0": PROXY,
}


def wrong(*found: tuple[str, str], others: bool = False) -> dict[str, str]:
    return dict(compare_images.wrong(found, lambda path: SERVED.get(path, ""), REGISTRY, others=others))


def test_all_names_of_an_image_of_the_registry_are_good() -> None:
    found = compare_images.images(LISTING)
    assert [name for name, _ in found] == [
        "registry.k8s.io/pause:3.10.2",
        f"registry.k8s.io/pause@{PAUSE}",
        CONFIG,
    ]
    assert {digest for _, digest in found} == {PAUSE}
    assert wrong(*found) == {}
    assert wrong(*reversed(found)) == {}, "whichever name comes first"


def test_an_image_from_elsewhere_is_named_with_all_its_names() -> None:
    miner = ("quay.io/evil/miner:1", EVIL)
    assert wrong(miner, (CONFIG, EVIL)) == {
        "quay.io/evil/miner:1": "is not in the registry",
        CONFIG: "belongs to no image of the registry",
    }
    assert wrong((f"quay.io/evil/miner@{EVIL}", EVIL)).keys() == {f"quay.io/evil/miner@{EVIL}"}


@pytest.mark.parametrize("others", [False, True])
def test_another_image_under_the_name_of_one_is_seen(others: bool) -> None:
    name = "registry.k8s.io/kube-proxy:v1.37.2"
    assert wrong((name, EVIL), others=others) == {name: f"is {EVIL}, the registry serves {PROXY}"}


def test_what_the_registry_serves_by_digest_alone_still_vouches_for_its_configuration() -> None:
    """A tag that has moved on leaves the image it named before behind, under its digests."""
    assert wrong((f"registry.k8s.io/kube-proxy@{OLD}", OLD), (CONFIG, OLD)) == {}


def test_what_an_earlier_bundle_had_stays_until_a_node_needs_the_room() -> None:
    found = (("registry.k8s.io/pause:3.9", OLD), (f"registry.k8s.io/pause@{OLD}", OLD), (CONFIG, OLD))
    assert len(wrong(*found)) == 3
    served, ours = (lambda path: SERVED.get(path, "")), ("registry.k8s.io/pause",)
    assert not list(compare_images.wrong(found, served, REGISTRY, others=False, ours=ours))
    evil = (("registry.k8s.io/pause:3.10.2", EVIL),)
    assert list(compare_images.wrong(evil, served, REGISTRY, others=False, ours=ours)), "one that it has is compared"


def test_with_a_way_out_other_images_may_come_from_elsewhere() -> None:
    assert wrong(("docker.io/library/nginx:1", EVIL), (CONFIG, EVIL), others=True) == {}


def test_a_name_may_begin_with_the_registry_itself() -> None:
    assert wrong((f"{REGISTRY}/team/app:1.0", PROXY)) == {}


def test_nodes_are_asked_with_what_they_need(topology: Topology, run: Run) -> None:
    reach = running()
    run(images(reach, topology))
    asked = [call for call in reach.calls if call.argv[0] == "python3"]
    assert [call.machine for call in asked] == ["cp1", "cp2", "cp3", "worker1", "worker2"]
    assert {call.stdin for call in asked} == {asked[0].stdin}
    wanted = json.loads(asked[0].stdin)
    assert "groundplane.local/probe" in wanted.pop("ours")
    assert wanted == {"registry": REGISTRY, "authority": "/etc/groundplane/pki/platform-ca.crt", "others": False}
    uplink = Uplink(address=IPv4Interface("192.0.2.2/24"), router=IPv4Address("192.0.2.1"), nameservers=())
    spec = topology.spec.model_copy(update={"network": Network(uplink=uplink)})
    run(images(reach, replace(topology, spec=spec)))
    asked = [call for call in reach.calls if call.argv[0] == "python3"]
    assert json.loads(asked[-1].stdin)["others"] is True


def test_a_foreign_image_is_named_with_its_node(topology: Topology, run: Run) -> None:
    reach = running()
    reach.on("worker2", "python3", answers="13\nquay.io/evil/miner:1|is not in the registry\n")
    with pytest.raises(NotYet, match=r"worker2: quay\.io/evil/miner:1 is not in the registry"):
        run(images(reach, topology))


def pod(namespace: str, image: str, **labels: str) -> dict[str, Any]:
    return {
        "metadata": {"name": f"of-{namespace}", "namespace": namespace, "labels": labels},
        "spec": {"containers": [{"image": image}]},
    }


def running(*pods: dict[str, Any]) -> FakeTransport:
    """A cluster with these pods, that understands the selectors the check uses."""

    def selected(call: Call) -> Completed:
        options = dict(word.removeprefix("--").partition("=")[::2] for word in call.argv if word.startswith("--"))
        key, _, values = options.get("selector", "").replace(" in ", "=").partition("=")
        wanted = values.strip("()").split(",")
        found = [
            one
            for one in pods
            if options.get("namespace", one["metadata"]["namespace"]) == one["metadata"]["namespace"]
            and (not key or one["metadata"]["labels"].get(key) in wanted)
        ]
        return Completed(0, json.dumps({"items": found}).encode(), b"")

    reach = FakeTransport()
    reach.on("*", "kubectl", then=selected)
    reach.on("*", "python3", answers="12\n")
    return reach


MINER = "quay.io/evil/miner:1"


@pytest.mark.parametrize(
    "foreign",
    [
        pod("kube-system", MINER, **{"k8s-app": "kube-dns"}),
        pod("kube-system", MINER, tier="control-plane"),
        pod("kube-flannel", MINER),
        pod("groundplane-verify-0a1b", MINER, app="probe"),
    ],
)
def test_a_foreign_image_is_seen(topology: Topology, run: Run, foreign: dict[str, Any]) -> None:
    honest = pod("kube-system", topology.software.images[5], **{"k8s-app": "kube-proxy"})
    with pytest.raises(NotYet, match=r"runs quay\.io"):
        run(images(running(honest, foreign), topology))


def test_users_own_pods_may_run_anything(topology: Topology, run: Run) -> None:
    reach = running(
        pod("kube-system", topology.software.images[5], **{"k8s-app": "kube-dns"}),
        pod("kube-system", MINER, **{"k8s-app": "metrics"}),
        pod("shop", MINER, app="probe"),
    )
    assert "60 image names on 5 nodes are the registry's; 1 pods" in run(images(reach, topology))
