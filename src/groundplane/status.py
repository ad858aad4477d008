"""How a platform is right now, gathered from its machines. What doesn't answer is left open, never an error."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import IPv4Address

from groundplane.components.corosync import quorum
from groundplane.components.etcd.status import EtcdMember
from groundplane.components.failures import failed
from groundplane.components.kubeadm.status import Certificate, ClusterStatus
from groundplane.components.kubeadm.status import status as cluster_status
from groundplane.components.pacemaker.status import glance
from groundplane.components.versions import Version, versions
from groundplane.machines.base import MachineStatus, Power, Provider
from groundplane.topology.model import Machine, Topology


@dataclass(frozen=True, slots=True)
class MachineLine:
    """One machine. ``role`` is the one it is named by, ``roles`` are all of them. ``ready``: it runs, and where it is a
    node, Kubernetes calls it ready. ``failed``: units of ours that failed."""

    name: str
    role: str
    roles: tuple[str, ...]
    address: IPv4Address
    power: str
    ready: bool
    memory_used: int  # bytes
    cpu_seconds: float
    failed: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Stranger:
    """A machine of the platform that its file doesn't have (any more), until an apply removes it."""

    name: str
    power: str


@dataclass(frozen=True, slots=True)
class NodeLine:
    """One Kubernetes node."""

    name: str
    ready: bool
    version: str


@dataclass(frozen=True, slots=True)
class PlatformStatus:
    """The platform at a glance. Empty words stand for what nobody answered. ``quorum_problem``: what the first balancer
    that isn't content with its votes says. ``verified``: its checks held when they were last asked."""

    name: str
    machines: tuple[MachineLine, ...]
    floating_address: IPv4Address
    floating_holder: str
    quorum: str
    pacemaker_leader: str
    etcd_leader: str
    etcd: tuple[EtcdMember, ...]
    nodes: tuple[NodeLine, ...]
    certificates: tuple[Certificate, ...]
    versions: tuple[Version, ...]
    problem: str
    verified: bool = True
    strangers: tuple[Stranger, ...] = ()
    quorum_problem: str = ""

    @property
    def ok(self) -> bool:
        """Whether all machines are ready and have shown their certificates, every leader is known, and nothing that is
        shown is a fault or will soon be one."""
        return (
            all(machine.ready and not machine.failed for machine in self.machines)
            and not any(member.problem for member in self.etcd)
            and not any(certificate.soon for certificate in self.certificates)
            and bool(self.floating_holder and self.pacemaker_leader and self.etcd_leader)
            and not (self.bare or self.strangers or self.foreign_nodes)
            and not (self.problem or self.quorum_problem)
            and self.verified
        )

    @property
    def bare(self) -> tuple[str, ...]:
        """Machines without a certificate: every one has some, so they didn't answer or have lost them."""
        shown = {certificate.machine for certificate in self.certificates}
        return tuple(machine.name for machine in self.machines if machine.name not in shown)

    @property
    def foreign_nodes(self) -> tuple[str, ...]:
        """Nodes that are no machine of the platform, not even one that is to leave."""
        known = {machine.name for machine in self.machines} | {stranger.name for stranger in self.strangers}
        return tuple(node.name for node in self.nodes if node.name not in known)


async def gather(topology: Topology, provider: Provider) -> PlatformStatus:
    """Ask the provider and those machines that run, all at once."""
    reach = provider.transport
    balancers, votes, cluster, programs, failures = await asyncio.gather(
        glance(reach, topology),
        quorum.summary(reach, topology),
        cluster_status(reach, topology),
        versions(reach, topology),
        failed(reach, topology),
    )
    seen = {entry.name: entry for entry in provider.status()}
    ours = {machine.name for machine in topology.machines}
    return PlatformStatus(
        name=topology.name,
        machines=tuple(
            _line(machine, seen[machine.name], cluster, failures[machine.name]) for machine in topology.machines
        ),
        floating_address=topology.lan.floating,
        floating_holder=(balancers and balancers.holder) or "",
        quorum="; ".join(f"{name}: {seen.words}" for name, seen in votes.items()),
        pacemaker_leader=balancers.leader if balancers else "",
        etcd_leader=next((member.machine for member in cluster.etcd if member.leader), ""),
        etcd=cluster.etcd,
        nodes=tuple(NodeLine(node.name, node.ready, node.version) for node in cluster.nodes),
        certificates=cluster.certificates,
        versions=(*programs, *_cluster_versions(cluster)),
        problem=cluster.problem,
        strangers=tuple(
            Stranger(name, entry.power.value) for name, entry in seen.items() if entry.exists and name not in ours
        ),
        quorum_problem=next((f"{name}: {seen.problem}" for name, seen in votes.items() if seen.problem), ""),
    )


def _cluster_versions(cluster: ClusterStatus) -> Iterator[Version]:
    """Of etcd, whose members tell it, and of the container runtimes, which the API shows as ``containerd://2.4.2``."""
    for member in cluster.etcd:
        if member.version:
            yield Version(member.machine, "etcd", member.version)
    for node in cluster.nodes:
        program, _, version = node.runtime.partition("://")
        if version:
            yield Version(node.name, program, version)


def _line(machine: Machine, seen: MachineStatus, cluster: ClusterStatus, failures: tuple[str, ...]) -> MachineLine:
    running = seen.power is Power.RUNNING
    node_ready = {node.name: node.ready for node in cluster.nodes}
    return MachineLine(
        name=machine.name,
        role=machine.roles[0].value,
        roles=tuple(role.value for role in machine.roles),
        address=machine.address,
        power=seen.power.value,
        ready=running and node_ready.get(machine.name, not machine.is_node),
        memory_used=seen.memory_used,
        cpu_seconds=seen.cpu_seconds,
        failed=failures,
    )
