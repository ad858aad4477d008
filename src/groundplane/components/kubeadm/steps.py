"""The cluster's acts: begin it, join control planes one by one and workers at once, approve serving certificates."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial

from groundplane.components.kubeadm import coredns, founding, images, joining, serving, token
from groundplane.components.kubeadm.control import Member, Node, ask, etcd_members, kubectl, nodes
from groundplane.components.kubeadm.facts import Facts, look
from groundplane.components.kubeadm.shared import Shared
from groundplane.errors import StepError
from groundplane.state.step import Reach, Step
from groundplane.topology.model import Machine, Topology

INIT = "kubeadm-init"
COREDNS = "coredns-spread"
TOKENS = "join-tokens"


def join_name(machine: Machine) -> str:
    """The name of the step that makes ``machine`` a node."""
    return f"kubeadm-join:{machine.name}"


def serving_name(machine: Machine) -> str:
    """The name of the step after which the kubelet of ``machine`` can be talked to."""
    return f"kubelet-serving:{machine.name}"


def steps(topology: Topology) -> tuple[Step, ...]:
    """kubeadm-init; kubeadm-join of control planes one after the other, of workers all at once; what follows them."""
    cluster = _Cluster(
        nodes=Shared(lambda reach: nodes(reach, topology)),
        members=Shared(lambda reach: etcd_members(reach, topology)),
        requests=Shared(lambda reach: serving.pending(reach, topology)),
        facts={machine.name: Shared(partial(look, machine=machine.name)) for machine in topology.nodes},
    )
    found = [images.step(topology, machine) for machine in topology.control_planes]
    found.append(_init(topology))
    previous = INIT
    for machine in topology.control_planes:
        found.append(_join_control_plane(topology, machine, previous, cluster))
        previous = join_name(machine)
    found += [_join_worker(topology, machine, cluster) for machine in topology.workers]
    found += [_serving(topology, machine, cluster) for machine in topology.nodes]
    found += [_schedulable(topology, machine, cluster) for machine in topology.nodes]
    found += [_tokens(topology), _coredns(topology)]
    return tuple(found)


@dataclass(frozen=True, slots=True)
class _Cluster:
    """What the probes of all steps ask the cluster and its machines, asked once for all."""

    nodes: Shared[dict[str, Node]]
    members: Shared[tuple[str, tuple[Member, ...]]]
    requests: Shared[tuple[serving.Request, ...]]
    facts: Mapping[str, Shared[Facts]]  # by machine


def _init(topology: Topology) -> Step:
    async def probe(reach: Reach) -> bool:
        return await founding.initialised(reach, topology, attempts=1)

    async def act(reach: Reach) -> None:
        await founding.initialise(reach, topology)

    return Step(
        name=INIT,
        machine=topology.control_planes[0].name,
        why="begin the Kubernetes cluster on one control plane, behind the floating address",
        probe=probe,
        act=act,
        needs_machines=tuple(
            machine.name for machine in (topology.gateway, *topology.balancers, *topology.control_planes)
        ),
        deadline=founding.INIT_DEADLINE + founding.REVIVAL_DEADLINE + 180,
    )


def _join_control_plane(topology: Topology, machine: Machine, previous: str, cluster: _Cluster) -> Step:
    async def probe(reach: Reach) -> bool:
        try:
            facts, (_, members), known = await asyncio.gather(
                cluster.facts[machine.name](reach), cluster.members(reach), cluster.nodes(reach)
            )
        except StepError:
            return False
        return joining.is_control_plane(machine, facts, members, known)

    async def act(reach: Reach) -> None:
        await joining.join_control_plane(reach, topology, machine)

    return Step(
        name=join_name(machine),
        machine=machine.name,
        why="make it a control plane: an API server and a voting etcd member; one after the other, for etcd's sake",
        probe=probe,
        act=act,
        needs=(previous,),
        needs_machines=(machine.name,),
        deadline=joining.JOIN_DEADLINE * 2 + joining.SETTLE_DEADLINE * 2,
    )


def _join_worker(topology: Topology, machine: Machine, cluster: _Cluster) -> Step:
    async def probe(reach: Reach) -> bool:
        try:
            facts, known = await asyncio.gather(cluster.facts[machine.name](reach), cluster.nodes(reach))
        except StepError:
            return False
        return joining.is_worker(machine, facts, known)

    async def act(reach: Reach) -> None:
        await joining.join_worker(reach, topology, machine)

    return Step(
        name=join_name(machine),
        machine=machine.name,
        why="make it a worker, where ordinary pods run",
        probe=probe,
        act=act,
        needs=(INIT,),
        needs_machines=(machine.name,),
        deadline=joining.JOIN_DEADLINE * 2 + 120,
    )


def _serving(topology: Topology, machine: Machine, cluster: _Cluster) -> Step:
    async def probe(reach: Reach) -> bool:
        try:
            facts, requests = await asyncio.gather(cluster.facts[machine.name](reach), cluster.requests(reach))
        except StepError:
            return False
        return facts.serving and not serving.of(requests, machine)

    async def act(reach: Reach) -> None:
        await serving.approve(reach, topology, machine, deadline=120)

    return Step(
        name=serving_name(machine),
        machine=machine.name,
        why="let the cluster's authority sign what its kubelet serves with, for exactly its own names",
        probe=probe,
        act=act,
        needs=(join_name(machine),),
        needs_machines=(machine.name,),
        deadline=180,
    )


def _schedulable(topology: Topology, machine: Machine, cluster: _Cluster) -> Step:
    async def cordoned(reach: Reach) -> Node | None:
        node = (await cluster.nodes(reach)).get(machine.name)
        return node if node is not None and node.cordoned else None

    async def probe(reach: Reach) -> bool:
        try:
            return await cordoned(reach) is None
        except StepError:
            return False

    async def act(reach: Reach) -> None:
        await ask(reach, topology, kubectl("uncordon", machine.name))

    async def instead(reach: Reach) -> tuple[str, float | None]:
        node = await cordoned(reach)
        return ("it is cordoned", node.cordoned_at) if node else ("", None)

    return Step(
        name=f"schedulable:{machine.name}",
        machine=machine.name,
        why="let the scheduler place pods on it",
        probe=probe,
        act=act,
        needs=(join_name(machine),),
        needs_machines=(machine.name,),
        deadline=60,
        instead=instead,
    )


def _coredns(topology: Topology) -> Step:
    async def probe(reach: Reach) -> bool:
        try:
            return await coredns.spread(reach, topology)
        except StepError:
            return False

    async def act(reach: Reach) -> None:
        await coredns.spread_out(reach, topology)

    return Step(
        name=COREDNS,
        machine="platform",
        why="run CoreDNS on more than the node it began on, so that names outlive that node",
        probe=probe,
        act=act,
        # A second node is enough to choose from: the first worker, without workers whichever joined last.
        needs=(join_name((*topology.workers[:1], topology.control_planes[-1])[0]),),
        deadline=300,
    )


def _tokens(topology: Topology) -> Step:
    async def probe(reach: Reach) -> bool:
        try:
            return not await token.left_over(reach, topology)
        except StepError:
            return False

    async def act(reach: Reach) -> None:
        await token.sweep(reach, topology)

    return Step(
        name=TOKENS,
        machine="platform",
        why="take back what a join that was interrupted could still be used for",
        probe=probe,
        act=act,
        needs=tuple(join_name(machine) for machine in topology.nodes),
        deadline=60,
    )
