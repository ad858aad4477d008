"""Machines come and go while clients are served: by a change of the file, by `replace`, and emptied by `drain`."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest

from groundplane.components.etcd.members import ETCDCTL, LOCAL_ETCD
from tests.lab.conftest import Platform
from tests.lab.test_change import plan, requests

pytestmark = pytest.mark.lab

BUDGET = """
apiVersion: v1
kind: Namespace
metadata: {name: come-and-go}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: web, namespace: come-and-go}
spec:
  replicas: 2
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      containers: [{name: web, image: "registry.k8s.io/pause:3.10.2"}]
---
apiVersion: policy/v1
kind: PodDisruptionBudget
metadata: {name: all-of-them, namespace: come-and-go}
spec:
  minAvailable: 2
  selector: {matchLabels: {app: web}}
"""


def nodes(platform: Platform) -> dict[str, bool]:
    return {node["name"]: node["ready"] for node in platform.json("status")["nodes"]}


def members(platform: Platform, asked: str = "cp1") -> list[str]:
    """As etcd itself lists them, which only a majority can: a linearizable read."""
    told = platform.ssh(asked, *ETCDCTL, LOCAL_ETCD, "member", "list", "--write-out=json")
    return sorted(member.get("name", "") for member in json.loads(told)["members"])


def test_a_worker_comes_and_goes_without_a_trace_however_often_that_is_cut_off(platform: Platform) -> None:
    text = platform.file.read_text()
    with requests(platform) as failures:
        _come_and_go(platform, text)
    assert failures == []
    platform.nothing_differs()
    assert set(nodes(platform)) == {"cp1", "cp2", "cp3", "worker1", "worker2"}
    assert platform.ssh("cp1", "getent", "hosts", "worker3.groundplane.internal", check=False) == ""
    assert "10.80.0.53" not in platform.ssh("gateway", "cat", "/var/lib/misc/dnsmasq.leases")
    assert "worker3" not in platform.ssh("gateway", "cat", "/etc/dnsmasq.d/groundplane.conf")
    lab = platform.state / "platforms" / platform.name / "lab"
    assert (lab / "machines" / "worker2").exists()
    assert not [kind for kind in ("machines", "data") if (lab / kind / "worker3").exists()]


def _come_and_go(platform: Platform, text: str) -> None:
    """``text`` is the file as it is before and afterwards."""
    try:
        platform.file.write_text(text.replace("worker: 2\n", "worker: 3\n"))
        status, document = plan(platform)
        assert (status, [birth["machine"] for birth in document["births"]]) == (2, ["worker3"])
        platform.up_until("worker3: kubeadm-join", command=("apply", "--yes"), moment=lambda: time.sleep(1))
        status, document = plan(platform)
        assert status == 2
        assert document["edits"], "the file is not reached"
        platform.run("apply", "--yes")
        platform.nothing_differs()
        assert nodes(platform)["worker3"]
        assert "10.80.0.53" in platform.ssh("cp1", "getent", "hosts", "worker3.groundplane.internal")
        platform.up_until("worker3: kubelet", command=("replace", "--yes", "worker3"), moment=lambda: time.sleep(0))
    finally:
        platform.file.write_text(text)
        _, document = plan(platform)
        assert [removal["machine"] for removal in document["removals"]] == ["worker3"]
        platform.run("apply", "--yes")


def test_control_planes_are_replaced_the_leader_of_etcd_and_the_dead(platform: Platform) -> None:
    leader = platform.json("status")["etcd_leader"]
    dead = next(name for name in ("cp1", "cp2", "cp3") if name != leader)
    with requests(platform) as failures:
        platform.run("replace", "--yes", leader)
    assert failures == []
    assert members(platform) == ["cp1", "cp2", "cp3"]
    platform.run("stop", "--force", dead)
    platform.run("replace", "--yes", dead)
    assert members(platform) == ["cp1", "cp2", "cp3"]
    assert all(nodes(platform).values())
    platform.nothing_differs()


def test_a_control_plane_is_switched_off_and_on_and_no_client_notices(platform: Platform) -> None:
    with requests(platform) as failures:
        platform.run("stop", "cp2")
        platform.run("start", "cp2")
        platform.run("verify")
    assert failures == []


def test_the_gateway_and_the_balancer_with_the_address_are_replaced(platform: Platform) -> None:
    platform.run("stop", "--force", "gateway")
    platform.run("replace", "--yes", "gateway")
    holder = platform.json("status")["floating_holder"]
    platform.run("replace", "--yes", holder)
    status = platform.json("status")
    assert status["ok"], status
    platform.nothing_differs()


def test_what_is_in_the_way_of_a_drain_is_named(platform: Platform) -> None:
    platform.make(BUDGET)
    try:
        platform.kubectl("-n", "come-and-go", "rollout", "status", "deployment/web", "--timeout=120s")
        pods: Any = json.loads(platform.kubectl("-n", "come-and-go", "get", "pods", "-o", "json"))["items"]
        node = pods[0]["spec"]["nodeName"]
        stuck = platform.run("drain", node, "--deadline", "6", check=False)
        assert stuck.returncode == 1
        assert "all-of-them" in stuck.stderr
        platform.kubectl("-n", "come-and-go", "delete", "poddisruptionbudget", "all-of-them")
        platform.run("drain", node)
        platform.nothing_differs()  # a drained node is meant to be so
        platform.run("undrain", node)
        assert "SchedulingDisabled" not in platform.kubectl("get", "nodes")
    finally:
        platform.kubectl("delete", "namespace", "come-and-go", "--wait=false")
