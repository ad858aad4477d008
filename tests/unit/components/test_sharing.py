"""Several roles on one machine: what differs there from a machine each."""

from __future__ import annotations

import asyncio
import json

import pytest
from tests.golden.laid_out import cases

from groundplane.components.catalog import COMPONENTS, published
from groundplane.components.corosync.timing import PORT
from groundplane.components.pacemaker.checks import answering
from groundplane.design import design
from groundplane.drill.catalogue import drill_named, lacking
from groundplane.topology.model import Machine
from groundplane.transport.fake import FakeTransport

THREE = cases()["three"]
DESIGN = design(THREE)
FILES = {
    state.machine: {file.path: file.content.decode(errors="replace") for file in state.files} for state in DESIGN.states
}


def test_what_is_published_doesnt_hang_on_the_order_of_the_components() -> None:
    (service,) = published(THREE)
    assert (service.name, service.port, service.servers) == ("api", THREE.api_port, THREE.control_planes)
    assert len([component for component in COMPONENTS if component.publishes(THREE)]) == 1


@pytest.mark.parametrize("machine", THREE.machines, ids=lambda machine: machine.name)
def test_the_api_server_has_the_machines_address_and_haproxy_the_floating_one(machine: Machine) -> None:
    files = FILES[machine.name]
    assert f"bind {THREE.lan.floating}:6443 transparent " in files["/etc/haproxy/haproxy.cfg"]
    (patch,) = json.loads(files["/etc/groundplane/kubeadm/patches/kube-apiserver+json.json"])
    assert patch["value"] == f"--bind-address={machine.address}"
    for name in ("init", "join"):
        told = files[f"/etc/groundplane/kubeadm/{name}.yaml"]
        assert 'directory: "/etc/groundplane/kubeadm/patches"' in told
        assert '- "Port-6443"' in told
        assert "taints: []" in told


def test_a_control_plane_that_is_a_worker_joins_once() -> None:
    names = [step.name for step in DESIGN.steps]
    assert len(names) == len(set(names))
    for machine in THREE.machines:
        assert f"kubeadm-join:{machine.name}" in names
        step = next(step for step in DESIGN.steps if step.name == f"worker:{machine.name}")
        assert step.needs == (f"kubeadm-join:{machine.name}",)


def test_every_step_names_each_machine_it_needs_once() -> None:
    assert all(len(step.needs_machines) == len(set(step.needs_machines)) for step in DESIGN.steps)


def test_three_balancers_do_without_the_gateways_vote() -> None:
    for state in DESIGN.states:
        assert "device {" not in FILES[state.machine]["/etc/corosync/corosync.conf"]
        (unit,) = [unit for unit in state.units if unit.name == "corosync-qdevice.service"]
        assert not unit.enabled


def test_a_gateway_that_is_a_node_lets_pods_and_members_through() -> None:
    rules = FILES["server1"]["/etc/nftables.conf"]
    assert f"udp dport {PORT} accept" in rules
    assert 'iifname { "cni0", "flannel.1" } ip saddr 10.244.0.0/16 accept' in rules
    assert 'iifname { "cni0", "flannel.1" } ip saddr 10.244.0.0/16 jump from-pods' in rules
    assert "listen-address=10.83.0.1" in FILES["server1"]["/etc/dnsmasq.d/groundplane.conf"]


def test_checks_before_work_on_a_machine_are_told_apart() -> None:
    names = [check.name for check in DESIGN.spares("server2")]
    assert sorted(names) == ["spare-address:server2", "spare-etcd:server2"]


@pytest.mark.parametrize("name", ["gateway-crash", "worker-crash", "balancer-partition-vote"])
def test_drills_of_what_no_machine_is_alone_cant_be_done(name: str) -> None:
    assert lacking(drill_named(name), THREE)
    assert not lacking(drill_named(name), cases()["lab"])


@pytest.mark.parametrize("holder", THREE.machines, ids=lambda machine: machine.name)
def test_the_address_is_seen_wherever_it_is_though_nobody_answers_himself(holder: Machine) -> None:
    reach = FakeTransport()
    reply = f"Unicast reply from {THREE.lan.floating} [{holder.mac.upper()}]  0.6ms\n"
    for machine in THREE.machines:
        reach.on(machine.name, "arping", answers="" if machine == holder else reply)
    assert asyncio.run(answering(reach, THREE)) == (holder.mac,)
