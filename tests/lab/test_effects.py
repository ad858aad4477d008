"""What a machine does beyond having its files: undone behind our back, seen by `plan`, brought back by `apply`."""

from __future__ import annotations

import json
import subprocess
from typing import Any

import pytest

from tests.lab.conftest import Platform, environment
from tests.lab.test_balancers import AT_REST, holder, other
from tests.lab.test_change import changes_of, plan

pytestmark = [pytest.mark.lab, pytest.mark.timeout(900)]

AGENT = "/usr/lib/ocf/resource.d/groundplane/haproxy"
PORT = 8088
SERVER = (
    "$s = IO::Socket::INET->new(LocalPort => 8080, Listen => 5) or die; "
    'while ($c = $s->accept) { print $c "HTTP/1.0 200 OK\\r\\n\\r\\nhere\\n"; close $c }'
)


def test_a_resource_agent_that_can_not_run_is_put_right_with_what_it_let_fail(platform: Platform) -> None:
    first = holder(platform)
    platform.ssh(first, "chmod", "0644", AGENT)
    platform.ssh(first, "systemctl", "kill", "--kill-whom=all", "--signal=KILL", "haproxy.service")
    platform.wait_for(f"{other(first)} has the address", lambda: holder(platform) == other(first))
    platform.wait_for("its HAProxy is given up", lambda: failed(platform)[first] == ["haproxy.service"])
    assert not platform.json("status")["ok"]
    status, document = plan(platform)
    assert status == 2
    found = changes_of(document)
    assert (first, "file", AGENT, "update") in found
    assert (first, "unit", "haproxy.service") in {change[:3] for change in found}
    platform.run("apply", "--yes")
    assert failed(platform)[first] == []
    assert platform.ssh(first, "systemctl", "is-active", "haproxy.service").strip() == "active"
    platform.wait_for(f"{first} has it back, as Pacemaker's leader", lambda: holder(platform) == first)
    platform.run("verify", *AT_REST)
    assert platform.json("status")["ok"]
    platform.nothing_differs()


def failed(platform: Platform) -> dict[str, list[str]]:
    """The units that failed, by machine."""
    return {machine["name"]: machine["failed"] for machine in platform.json("status")["machines"]}


def test_what_nobody_restarts_for_is_seen_and_comes_back(platform: Platform) -> None:
    """Packet filters that somebody emptied, a machine that was renamed, a device that was removed, a size not told."""
    serve(platform, "worker1")
    try:
        assert answered(platform) == "here"
        ran = pods(platform)
        platform.ssh("worker2", "hostname", "wrong")
        platform.ssh("worker2", "systemctl", "restart", "kubelet")
        platform.ssh("worker1", "nft", "flush", "ruleset")
        platform.ssh("gateway", "nft", "flush", "ruleset")
        platform.ssh("cp1", "ip", "link", "delete", "flannel.1")
        platform.ssh("cp1", "umount", "--lazy", "/proc/meminfo")
        assert answered(platform) == ""
        platform.wait_for("worker2 isn't ready", lambda: not ready(platform)["worker2"])

        status, document = plan(platform)
        assert status == 2
        assert {
            ("gateway", "unit", "nftables.service", "reload"),
            ("worker2", "host-name", "/etc/hostname", "update"),
            ("cp1", "unit", "groundplane-size.service", "restart"),
        } <= changes_of(document)
        steps = {step["name"]: step["seen"] for step in document["steps"]}
        gone = {
            "service-rules:worker1": "kube-proxy's rules are gone",
            "flannel-rules:worker1": "flannel's rules are gone",
            "host-ports:worker1": f"the node's ports don't reach default/served ({PORT})",
            "flannel-rules:cp1": "there is no link flannel.1 that is up",
            "ready:worker2": "it is not ready",
        }
        assert gone.items() <= steps.items(), steps

        platform.run("apply", "--yes")
        platform.nothing_differs()
        assert answered(platform) == "here"
        assert pods(platform) == ran, "the pod itself is left alone"
        assert all(ready(platform).values())
        assert platform.ssh("worker2", "hostname").strip() == "worker2"
        assert "masquerade" in platform.ssh("worker1", "nft", "list", "chain", "ip", "flannel-ipv4", "postrtg")
        assert "groundplane" in platform.ssh("gateway", "nft", "list", "tables")
    finally:
        platform.kubectl("delete", "pod", "served", "--ignore-not-found", "--grace-period=1")


def test_a_pod_that_eats_its_nodes_memory_goes_and_the_node_stays(platform: Platform) -> None:
    """One faster than anybody looks, whom the kernel stops where the pods' memory ends, and one that is evicted."""
    programs = ("systemctl", "show", "--property=Id,MainPID", "kubelet", "containerd", "chrony")
    boots, before = platform.boots(), {node: platform.ssh(node, *programs) for node in ("worker1", "worker2")}
    try:
        eat(platform, "fast", "worker1", "tail /dev/zero")
        eat(
            platform,
            "slow",
            "worker2",
            "{ head -c 2550M /dev/zero; while sleep 1; do head -c 5M /dev/zero; done; } | tail",
        )
        platform.wait_for("the fast one has ended", lambda: ended(platform, "fast") != "")
        platform.wait_for("the slow one has ended", lambda: ended(platform, "slow") != "")
        assert (ended(platform, "fast"), ended(platform, "slow")) == ("OOMKilled", "Evicted")
    finally:
        platform.kubectl("delete", "pod", "fast", "slow", "--ignore-not-found", "--grace-period=1")
    assert {node: platform.ssh(node, *programs) for node in before} == before, "no other program was killed"
    assert platform.boots() == boots
    # A kubelet stays with what it said for five minutes, and no probe pod would be placed there.
    platform.ssh("worker2", "systemctl", "restart", "kubelet")
    platform.kubectl("wait", "--for=condition=MemoryPressure=False", "node/worker2", "--timeout=60s")
    assert all(ready(platform).values())


def eat(platform: Platform, name: str, node: str, command: str) -> None:
    container = {"name": name, "image": image(platform), "command": ["sh", "-c", command]}
    apply(platform, name, {"nodeName": node, "restartPolicy": "Never", "containers": [container]})


def ended(platform: Platform, name: str) -> str:
    """Why a pod has failed; empty while it has not."""
    pod = json.loads(platform.kubectl("get", "pod", name, "-o", "json"))["status"]
    if pod["phase"] != "Failed":
        return ""
    [container] = pod.get("containerStatuses") or [{}]
    reason: str = pod.get("reason") or container["state"]["terminated"]["reason"]
    return reason


def ready(platform: Platform) -> dict[str, bool]:
    return {node["name"]: node["ready"] for node in platform.json("status")["nodes"]}


def serve(platform: Platform, node: str) -> None:
    """A pod that answers HTTP at a port of its node."""
    container = {
        "name": "served",
        "image": image(platform),
        "command": ["perl", "-MIO::Socket::INET", "-e", SERVER],
        "ports": [{"containerPort": 8080, "hostPort": PORT}],
    }
    apply(platform, "served", {"nodeName": node, "containers": [container]})
    platform.kubectl("wait", "--for=condition=Ready", "pod/served", "--timeout=60s")


def image(platform: Platform) -> str:
    """One with a shell and Perl, that every node has."""
    column = "jsonpath={.spec.template.spec.containers[0].image}"
    return platform.kubectl("-n", "kube-system", "get", "daemonset", "kube-proxy", "-o", column)


def apply(platform: Platform, name: str, spec: dict[str, Any]) -> None:
    manifest = json.dumps({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "spec": spec})
    argv = [*platform.command("kubectl"), "--", "apply", "-f", "-"]
    subprocess.run(argv, input=manifest, text=True, check=True, capture_output=True, env=environment(), timeout=60)


def answered(platform: Platform) -> str:
    """What the pod answers at its node's port."""
    return platform.ssh(
        "cp1", "curl", "--silent", "--max-time", "3", f"http://worker1.groundplane.internal:{PORT}/", check=False
    ).strip()


def pods(platform: Platform) -> str:
    """Which process serves, and how often it was started."""
    columns = "{.metadata.uid} {.status.containerStatuses[0].containerID} {.status.containerStatuses[0].restartCount}"
    return platform.kubectl("get", "pod", "served", "-o", f"jsonpath={columns}")
