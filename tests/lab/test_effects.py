"""What a machine does beyond having its files: undone behind our back, seen by `plan`, brought back by `apply`."""

from __future__ import annotations

import pytest

from tests.lab.conftest import Platform
from tests.lab.test_balancers import AT_REST, holder, other
from tests.lab.test_change import changes_of, plan

pytestmark = [pytest.mark.lab, pytest.mark.timeout(900)]

EATER = """
apiVersion: v1
kind: Pod
metadata: {name: eater}
spec:
  nodeName: worker1
  terminationGracePeriodSeconds: 1
  containers:
    - {name: pause, image: "registry.k8s.io/pause:3.10.2", volumeMounts: [{name: memory, mountPath: /memory}]}
  volumes: [{name: memory, emptyDir: {medium: Memory}}]
"""
REACHED = """
apiVersion: v1
kind: Pod
metadata: {name: reached}
spec:
  nodeName: worker1
  terminationGracePeriodSeconds: 1
  containers: [{name: pause, image: "registry.k8s.io/pause:3.10.2", ports: [{containerPort: 80, hostPort: 8088}]}]
"""
DEAD_API = """
apiVersion: apiregistration.k8s.io/v1
kind: APIService
metadata: {name: v1.gone.example}
spec:
  group: gone.example
  version: v1
  groupPriorityMinimum: 100
  versionPriority: 100
  insecureSkipTLSVerify: true
  service: {name: gone, namespace: default}
"""
AGENT = "/usr/lib/ocf/resource.d/groundplane/haproxy"


@pytest.mark.long
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


@pytest.mark.long
def test_two_faults_at_once_are_mended_though_each_keeps_checks_from_holding(platform: Platform) -> None:
    """Pods of cp1 reach nobody until cp1's own turn comes; worker2, renamed, comes before it."""
    for machine in ("gateway", "cp1"):
        platform.ssh(machine, "nft", "flush", "ruleset")
    platform.ssh("worker2", "hostname", "somebody-else")
    platform.ssh("worker1", "systemctl", "stop", "chrony")
    status, document = plan(platform)
    assert status == 2
    found = {change[:3] for change in changes_of(document)}
    assert {
        ("gateway", "unit", "nftables.service"),
        ("worker1", "unit", "chrony.service"),
        ("worker2", "host-name", "/etc/hostname"),
    } <= found
    assert "flannel-rules:cp1" in {step["name"] for step in document["steps"]}
    platform.run("apply", "--yes")
    assert platform.ssh("worker2", "hostname").strip() == "worker2"
    platform.run("verify")
    platform.nothing_differs()


def test_what_is_left_of_pods_ways_does_not_hide_what_is_gone(platform: Platform) -> None:
    """A table without its rules, a link without routes, a bridge that is down, a pod out of reach."""
    platform.make(REACHED)
    platform.kubectl("wait", "--for=condition=Ready", "pod/reached", "--timeout=90s")
    platform.ssh("worker1", "nft", "flush", "chain", "ip", "nat", "CNI-HOSTPORT-DNAT")
    platform.ssh("worker1", "nft", "flush", "table", "ip", "kube-proxy")
    platform.ssh("worker2", "sh", "-c", "ip link set flannel.1 down; ip link set flannel.1 up")
    platform.ssh("cp1", "ip", "neigh", "flush", "dev", "flannel.1", "nud", "all")
    platform.ssh("cp2", "ip", "link", "set", "cni0", "down")
    status, document = plan(platform)
    assert status == 2
    assert {step["name"] for step in document["steps"]} == {
        "service-rules:worker1",
        "host-ports:worker1",
        "flannel-rules:worker2",
        "flannel-rules:cp1",
        "pod-network:cp2",
    }
    assert "the node's ports don't reach default/reached (8088)" in {step["seen"] for step in document["steps"]}
    platform.run("apply", "--yes")
    platform.kubectl("delete", "pod", "reached", "--wait=false")
    platform.nothing_differs()  # while its rules go
    platform.run("verify")
    platform.nothing_differs()


@pytest.mark.long
def test_what_only_small_packets_pass_and_what_removed_software_left_are_found(platform: Platform) -> None:
    """Asked together: each is waited for as long as a cluster may need to come to rest."""
    hole = "add table inet hole; add chain inet hole in { type filter hook input priority -300; }; "
    hole += "add rule inet hole in udp dport 8472 meta length > 1000 drop"
    platform.ssh("worker1", "nft", hole)
    platform.make(DEAD_API)
    try:
        done = platform.run("verify", "pod-network", "leftovers", check=False)
        assert done.returncode == 1
        assert "worker1" in done.stdout
        assert "kubectl delete apiservice v1.gone.example" in done.stdout
    finally:
        platform.ssh("worker1", "nft", "delete", "table", "inet", "hole")
        platform.kubectl("delete", "apiservice", "v1.gone.example")
    platform.run("verify")


@pytest.mark.long
def test_a_pod_that_eats_its_nodes_memory_is_evicted_before_its_machine_is_killed(platform: Platform) -> None:
    boots = platform.boots()
    platform.make(EATER)
    try:
        platform.kubectl("wait", "--for=condition=Ready", "pod/eater", "--timeout=90s")
        uid = platform.kubectl("get", "pod", "eater", "-o", "jsonpath={.metadata.uid}")
        folder = f"/var/lib/kubelet/pods/{uid}/volumes/kubernetes.io~empty-dir/memory"
        fill = f"for n in $(seq 300); do head -c 10M /dev/zero >{folder}/$n || exit; sleep 0.1; done"
        platform.ssh("worker1", "sh", "-c", fill, check=False)
        platform.wait_for(
            "it is evicted",
            lambda: "Evicted" in platform.kubectl("get", "pod", "eater", "-o", "jsonpath={.status.reason}"),
        )
        assert platform.boots() == boots
        critical = platform.kubectl("get", "pods", "-A", "--field-selector=status.phase=Failed", "-o", "name")
        assert critical.split() == ["pod/eater"], "what the node itself needs stays"
    finally:
        platform.kubectl("delete", "pod", "eater", "--wait=false")
    pressure = "jsonpath={.status.conditions[?(@.type=='MemoryPressure')].status}"
    platform.wait_for(
        "the node has memory again",
        lambda: platform.kubectl("get", "node", "worker1", "-o", pressure) == "False",
        within=420,  # the kubelet waits for five minutes
    )
    platform.run("verify")


def failed(platform: Platform) -> dict[str, list[str]]:
    """The units that failed, by machine."""
    return {machine["name"]: machine["failed"] for machine in platform.json("status")["machines"]}
