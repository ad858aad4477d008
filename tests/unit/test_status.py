"""The platform at a glance, from machines that answer as real ones did, and from some that don't."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import cast

import pytest
from tests.golden.laid_out import cases
from tests.unit.components.ha import said
from tests.unit.components.kubernetes.test_looking import MEMBERS, STATUS

from groundplane.components.versions import Version
from groundplane.errors import Unreachable
from groundplane.machines.base import MachineStatus, Power, Provider
from groundplane.state.step import Completed
from groundplane.status import PlatformStatus, Stranger, gather
from groundplane.topology.model import Topology
from groundplane.transport.fake import Call, FakeTransport

PROGRAMS = "HAProxy|3.0.11-1+deb13u5\nCorosync|3.1.9\nPacemaker|3.0.0\n"
STANDBY = "Corosync|3.1.9\nPacemaker|3.0.0\n"


@pytest.fixture
def topology() -> Topology:
    return cases()["lab"]


@dataclass
class Running:
    """As much of a provider as the status asks for: all machines run."""

    topology: Topology
    transport: FakeTransport = field(default_factory=FakeTransport)

    def status(self) -> tuple[MachineStatus, ...]:
        return tuple(MachineStatus(machine.name, Power.RUNNING) for machine in self.topology.machines)


def answering(topology: Topology) -> Running:
    def shell(call: Call) -> Completed:
        if "etcdctl" in call.argv[2]:
            return Completed(0, f"{STATUS}\n{MEMBERS}\n".encode(), b"")
        if "openssl" in call.argv[2]:
            return Completed(0, b"/etc/x.crt|notAfter=Nov  3 18:39:25 2036 GMT\n", b"")
        return Completed(0, (PROGRAMS if call.machine == "lb1" else STANDBY).encode(), b"")

    provider = Running(topology)
    node = {
        "metadata": {"name": "cp1"},
        "status": {"nodeInfo": {"kubeletVersion": "v1.37.2", "containerRuntimeVersion": "containerd://2.4.2"}},
    }
    provider.transport.on("*", "crm_mon", answers=said.monitor())
    provider.transport.on("*", "corosync-quorumtool", answers=said.quorum())
    provider.transport.on("*", "kubectl", answers=json.dumps({"items": [node]}))
    provider.transport.on("*", "systemctl", answers="")
    provider.transport.on("*", "sh", then=shell)
    return provider


def look(provider: Running) -> PlatformStatus:
    return asyncio.run(gather(provider.topology, cast(Provider, provider)))


def test_leaders_and_versions_of_what_runs(topology: Topology) -> None:
    seen = look(answering(topology))
    assert (seen.floating_holder, seen.pacemaker_leader) == ("lb2", "lb1")
    assert seen.versions == (
        Version("lb1", "HAProxy", "3.0.11-1+deb13u5"),
        Version("lb1", "Corosync", "3.1.9"),
        Version("lb1", "Pacemaker", "3.0.0"),
        Version("lb2", "Corosync", "3.1.9"),
        Version("lb2", "Pacemaker", "3.0.0"),
        *(Version(name, "etcd", "3.7.3") for name in ("cp1", "cp2", "cp3")),
        Version("cp1", "containerd", "2.4.2"),
    )
    assert {certificate.machine for certificate in seen.certificates} == {one.name for one in topology.machines}


def test_who_does_not_answer_is_left_out(topology: Topology) -> None:
    provider = answering(topology)
    for program in ("crm_mon", "sh", "corosync-quorumtool"):
        provider.transport.on("lb1", program, raises=Unreachable("no answer", where="lb1"))
    seen = look(provider)
    assert seen.pacemaker_leader == "lb1", "the other one tells"
    assert {version.machine for version in seen.versions} == {"lb2", "cp1", "cp2", "cp3"}


def test_a_machine_the_file_does_not_have_is_shown_by_its_name(topology: Topology) -> None:
    provider = answering(topology)
    listed = provider.status()
    gone, leaving = MachineStatus("worker8", Power.ABSENT), MachineStatus("worker9", Power.RUNNING)
    provider.status = lambda: (*listed, gone, leaving)  # type: ignore[method-assign]
    assert look(provider).strangers == (Stranger("worker9", "running"),)


def test_a_failed_unit_of_ours_is_never_ok(topology: Topology) -> None:
    provider = answering(topology)
    rows = "haproxy.service loaded failed failed HAProxy\nmine.service loaded failed failed Mine\n"
    provider.transport.on("lb1", "systemctl", answers=rows)
    seen = look(provider)
    assert {line.name: line.failed for line in seen.machines if line.failed} == {"lb1": ("haproxy.service",)}


def whole(topology: Topology) -> PlatformStatus:
    """A platform that is well: of those asked here, one alone says it is ready."""
    seen = look(answering(topology))
    return replace(seen, machines=tuple(replace(line, ready=True) for line in seen.machines))


SIGNS: dict[str, Callable[[PlatformStatus], PlatformStatus]] = {
    "not ready": lambda one: replace(one, machines=(replace(one.machines[0], ready=False), *one.machines[1:])),
    "a failed unit": lambda one: replace(one, machines=(replace(one.machines[0], failed=("x",)), *one.machines[1:])),
    "no holder": lambda one: replace(one, floating_holder=""),
    "no Pacemaker's leader": lambda one: replace(one, pacemaker_leader=""),
    "no etcd's leader": lambda one: replace(one, etcd_leader=""),
    "a vote too few": lambda one: replace(one, quorum_problem="lb1: 2 of 3 votes"),
    "a sick member": lambda one: replace(one, etcd=(replace(one.etcd[0], problem="no space"), *one.etcd[1:])),
    "no certificates": lambda one: replace(one, certificates=()),
    "none of one machine": lambda one: replace(one, certificates=one.certificates[1:]),
    "one that ends": lambda one: replace(
        one, certificates=(replace(one.certificates[0], ends=datetime.now(UTC)), *one.certificates)
    ),
    "no nodes": lambda one: replace(one, problem="no control plane answered"),
    "a node nobody knows": lambda one: replace(one, nodes=(*one.nodes, replace(one.nodes[0], name="guest"))),
    "a machine nobody knows": lambda one: replace(one, strangers=(Stranger("worker9", "off"),)),
    "checks that didn't hold": lambda one: replace(one, verified=False),
}


@pytest.mark.parametrize("sign", SIGNS)
def test_whatever_is_shown_is_judged(topology: Topology, sign: str) -> None:
    well = whole(topology)
    assert well.ok
    assert not SIGNS[sign](well).ok


def test_a_lost_vote_is_no_reserve(topology: Topology) -> None:
    provider = answering(topology)
    provider.transport.on("lb2", "corosync-quorumtool", answers=said.quorum(vote="NV", total=2))
    seen = look(provider)
    assert seen.quorum_problem == "lb2: quorate, 2 of 3 votes, members lb1, lb2; expected 3 votes"
