"""The cluster's acts: begin it, join nodes at once and etcd's members one by one, approve serving certificates."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from time import monotonic
from typing import Generic, TypeVar

from groundplane.components.cluster import laid
from groundplane.components.cluster.api import Node, ask, kubectl, nodes
from groundplane.components.cluster.names import (
    INIT,
    certificates_name,
    control_plane_name,
    etcd_name,
    join_name,
    prepare_name,
    ready_name,
)
from groundplane.components.cluster.shared import Shared
from groundplane.components.coredns import steps as coredns
from groundplane.components.etcd.members import SETTLE_DEADLINE, Member, etcd_members
from groundplane.components.kubeadm import founding, joining, preparing, settings, static_pods, token
from groundplane.components.kubeadm.facts import Facts, look, serves
from groundplane.components.kubelet import serving
from groundplane.components.kubelet import steps as kubelet
from groundplane.components.kubelet.remote.approve import Request
from groundplane.components.pod_network import POD_NETWORK
from groundplane.components.podnet import host_ports
from groundplane.components.podnet import steps as podnet
from groundplane.errors import StepError
from groundplane.spec.roles import Role
from groundplane.state.step import Reach, Step
from groundplane.topology.model import Machine, Topology
from groundplane.verify.condition import NotYet, wait_until

T = TypeVar("T")

TOKENS = "join-tokens"
SETTINGS = "cluster-settings"
_READY = 180.0
"""Seconds a node may take to be ready: its pods' network comes to it as an image."""
_BY_ITSELF = 60.0
"""Seconds after which its kubelet is started anew."""


def steps(topology: Topology) -> tuple[Step, ...]:
    """kubeadm-init; kubeadm-join of all nodes at once, etcd-join of control planes in turn; what follows them."""
    cluster = _Cluster(
        nodes=Shared(lambda reach: nodes(reach, topology)),
        members=Shared(lambda reach: etcd_members(reach, topology)),
        requests=Shared(lambda reach: serving.pending(reach, topology)),
        facts={machine.name: Shared(partial(look, topology=topology, machine=machine)) for machine in topology.nodes},
        serving={
            machine.name: Shared(partial(serves, topology=topology, machine=machine))
            for machine in topology.control_planes
        },
    )
    found = [preparing.step(topology, machine, cluster.facts[machine.name]) for machine in topology.control_planes]
    found.append(_init(topology, [cluster.facts[machine.name] for machine in topology.control_planes]))
    previous = INIT
    for machine in topology.control_planes:
        found += _join_control_plane(topology, machine, previous, cluster)
        previous = etcd_name(machine)
    previous = INIT
    for machine in topology.control_planes:
        found.append(_static_pods(topology, machine, previous))
        previous = static_pods_name(machine)
    found.append(_settings(topology))
    for machine in topology.workers:
        # A machine joins once: as a control plane, if it is one.
        join = _show_worker if machine.has(Role.CONTROL_PLANE) else _join_worker
        found.append(join(topology, machine, cluster))
    found += [
        kubelet.step(topology, machine, partial(_certified, cluster.facts[machine.name]), cluster.requests)
        for machine in topology.nodes
    ]
    found += [podnet.step(topology, machine, POD_NETWORK, cluster.nodes) for machine in topology.nodes]
    found += [_schedulable(topology, machine, cluster) for machine in topology.nodes]
    found += [_ready(topology, machine, cluster) for machine in topology.nodes]
    found += [laid.step(topology, machine, _kube_proxy(topology)) for machine in topology.nodes]
    found += [host_ports.step(machine) for machine in topology.nodes]
    found += [_tokens(topology), coredns.step(topology, POD_NETWORK)]
    return tuple(found)


@dataclass(frozen=True, slots=True)
class _Cluster:
    """What the probes of all steps ask the cluster and its machines, asked once for all."""

    nodes: Shared[dict[str, Node]]
    members: Shared[tuple[str, tuple[Member, ...]]]
    requests: Shared[tuple[Request, ...]]
    facts: Mapping[str, Shared[Facts]]  # by machine
    serving: Mapping[str, Shared[bool]]  # whether its API server is ready, by control plane


async def _certified(facts: Shared[Facts], reach: Reach) -> bool:
    """Whether the kubelet has a good serving certificate."""
    return (await facts(reach)).serving


async def _not_good(cluster: _Cluster, machine: Machine, reach: Reach) -> tuple[str, float | None]:
    """Which certificate of the kubelet isn't good, and why; a kubelet that doesn't run; a silent API server."""
    seen = await cluster.facts[machine.name](reach)
    ready = cluster.serving.get(machine.name)
    stopped = () if seen.kubelet or not seen.traces else ("its kubelet doesn't run, or ends again and again",)
    mute = ready is not None and seen.manifests and seen.admin and not await ready(reach)
    silent = ("its API server isn't ready",) if mute else ()
    return "; ".join((*seen.faults, *stopped, *silent)), None


def _init(topology: Topology, facts: Sequence[Shared[Facts]]) -> Step:
    async def probe(reach: Reach) -> bool:
        return await founding.founded(reach, topology, facts)

    async def act(reach: Reach) -> None:
        await founding.initialise(reach, topology)

    return Step(
        name=INIT,
        machine=topology.control_planes[0].name,
        why="begin the Kubernetes cluster on one control plane, behind the floating address",
        probe=probe,
        act=act,
        needs=tuple(map(certificates_name, topology.control_planes)),
        needs_machines=tuple(
            dict.fromkeys(machine.name for machine in (topology.gateway, *topology.balancers, *topology.control_planes))
        ),
        deadline=founding.INIT_DEADLINE + founding.REVIVAL_DEADLINE + 180,
        founds=True,
    )


def _join_control_plane(topology: Topology, machine: Machine, previous: str, cluster: _Cluster) -> tuple[Step, ...]:
    """A control plane's part in all that can be done at once; then its turn with etcd, after ``previous``; then what
    the next one doesn't have to wait for."""
    facts = cluster.facts[machine.name]

    async def node(reach: Reach) -> bool:
        try:
            seen, known = await asyncio.gather(facts(reach), cluster.nodes(reach))
        except StepError:
            return False
        return seen.admin and joining.is_node(machine, seen, known)

    async def member(reach: Reach) -> bool:
        try:
            seen, (_, members) = await asyncio.gather(facts(reach), cluster.members(reach))
        except StepError:
            return False
        return joining.is_member(machine, seen, members)

    async def whole(reach: Reach) -> bool:
        try:
            seen, ready, (_, members), known = await asyncio.gather(
                facts(reach), cluster.serving[machine.name](reach), cluster.members(reach), cluster.nodes(reach)
            )
        except StepError:
            return False
        return ready and joining.is_control_plane(machine, seen, members, known)

    async def instead(reach: Reach) -> tuple[str, float | None]:
        return await _not_good(cluster, machine, reach)

    return (
        Step(
            name=join_name(machine),
            machine=machine.name,
            why="make it a node that can become a control plane",
            probe=node,
            act=partial(joining.join_as_node, topology=topology, machine=machine),
            needs=(INIT, prepare_name(machine)),
            needs_machines=(machine.name,),
            deadline=joining.JOIN_DEADLINE * 2 + 120,
            instead=instead,
        ),
        Step(
            name=etcd_name(machine),
            machine=machine.name,
            why="make it a voting member of etcd; one after the other, so that a majority is always well",
            probe=member,
            act=partial(joining.join_etcd, topology=topology, machine=machine),
            needs=(join_name(machine), previous),
            needs_machines=(machine.name,),
            deadline=joining.JOIN_DEADLINE * 3 + SETTLE_DEADLINE,
        ),
        Step(
            name=control_plane_name(machine),
            machine=machine.name,
            why="have its API server serve, and the cluster show it as a control plane",
            probe=whole,
            act=partial(joining.finish_control_plane, topology=topology, machine=machine),
            needs=(etcd_name(machine),),
            needs_machines=(machine.name,),
            deadline=joining.JOIN_DEADLINE + SETTLE_DEADLINE + 180,
            instead=instead,
        ),
    )


class _Looked(Generic[T]):
    """A look that is made once for the probe and for whoever then asks what is there instead. It takes long, longest
    where the API is silent."""

    def __init__(self, look: Callable[[Reach], Awaitable[T]]) -> None:
        self._look = look
        self._seen: T | StepError = StepError("nobody has looked yet")

    async def now(self, reach: Reach) -> T:
        try:
            self._seen = await self._look(reach)
        except StepError as error:
            self._seen = error
        return self.last()

    def last(self) -> T:
        """What the last look has shown, or its StepError."""
        if isinstance(self._seen, StepError):
            raise self._seen
        return self._seen


def static_pods_name(machine: Machine) -> str:
    """The name of the step that has a control plane run what its configuration says today."""
    return f"static-pods:{machine.name}"


def _static_pods(topology: Topology, machine: Machine, previous: str) -> Step:
    """One control plane after the other: what doesn't work is seen on the first."""
    look = _Looked(partial(static_pods.look, topology=topology, machine=machine))

    async def probe(reach: Reach) -> bool:
        return not (await look.now(reach)).differing

    async def act(reach: Reach) -> None:
        await static_pods.bring(reach, topology, machine)

    async def instead(_: Reach) -> tuple[str, float | None]:
        return static_pods.words(look.last()), None

    async def diff(_: Reach) -> str:
        return static_pods.diff(look.last())

    return Step(
        name=static_pods_name(machine),
        machine=machine.name,
        why="run its etcd, API server, controllers and scheduler as they are configured today; they stop for a moment, "
        "the other control planes serve",
        probe=probe,
        act=act,
        needs=(control_plane_name(machine), previous),
        needs_machines=(machine.name,),
        deadline=static_pods.DEADLINE + 60,
        instead=instead,
        diff=diff,
        disturbs=True,
    )


def _settings(topology: Topology) -> Step:
    """After the static pods: what they don't get well with must not be what joining control planes get."""
    look = _Looked(partial(settings.look, topology=topology, attempts=1))

    async def probe(reach: Reach) -> bool:
        try:
            return (await look.now(reach)).hold
        except StepError:
            return False

    async def act(reach: Reach) -> None:
        await settings.bring(reach, topology)

    async def instead(_: Reach) -> tuple[str, float | None]:
        return settings.words(look.last()), None

    async def diff(_: Reach) -> str:
        return settings.diff(look.last())

    return Step(
        name=SETTINGS,
        machine="platform",
        why="have the cluster keep today's configuration: that of control planes to come, of kubelets and kube-proxy",
        probe=probe,
        act=act,
        needs=tuple(static_pods_name(machine) for machine in topology.control_planes),
        deadline=settings.DEADLINE,
        instead=instead,
        diff=diff,
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

    async def instead(reach: Reach) -> tuple[str, float | None]:
        return await _not_good(cluster, machine, reach)

    return Step(
        name=join_name(machine),
        machine=machine.name,
        why="make it a worker, where ordinary pods run",
        probe=probe,
        act=act,
        needs=(INIT,),
        needs_machines=(machine.name,),
        deadline=joining.JOIN_DEADLINE * 2 + 120,
        instead=instead,
    )


def _show_worker(topology: Topology, machine: Machine, cluster: _Cluster) -> Step:
    async def probe(reach: Reach) -> bool:
        try:
            return joining.labelled_worker(machine, await cluster.nodes(reach))
        except StepError:
            return False

    async def act(reach: Reach) -> None:
        await joining.label_worker(reach, topology, machine)

    return Step(
        name=f"worker:{machine.name}",
        machine=machine.name,
        why="show that the control plane is a worker too, where ordinary pods run",
        probe=probe,
        act=act,
        needs=(join_name(machine),),
        needs_machines=(machine.name,),
        deadline=60,
    )


def _schedulable(topology: Topology, machine: Machine, cluster: _Cluster) -> Step:
    async def cordoned(reach: Reach) -> Node | None:
        node = (await cluster.nodes(reach)).get(machine.name)
        return node if node is not None and node.cordoned and not node.drained else None

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


def _ready(topology: Topology, machine: Machine, cluster: _Cluster) -> Step:
    """A node that isn't Ready runs no new pod, whatever else holds; that is never "nothing differs"."""

    async def probe(reach: Reach) -> bool:
        try:
            node = (await cluster.nodes(reach)).get(machine.name)
        except StepError:
            return False
        return node is not None and node.ready

    async def act(reach: Reach) -> None:
        begin, restarted = monotonic(), False

        async def ready() -> None:
            nonlocal restarted
            if await probe(reach):
                return
            if not restarted and monotonic() - begin >= _BY_ITSELF:
                await reach.run(machine.name, ("systemctl", "restart", "kubelet"))
                restarted = True
            raise NotYet("Kubernetes doesn't call it ready")

        await wait_until(
            "the node is ready",
            ready,
            deadline=_READY,
            every=1,
            where=machine.name,
            hint=f"`groundplane kubectl describe node {machine.name}` tells why it isn't",
        )

    async def instead(_: Reach) -> tuple[str, float | None]:
        return "it is not ready", None

    return Step(
        name=ready_name(machine),
        machine=machine.name,
        why="have Kubernetes call it ready: pods start there",
        probe=probe,
        act=act,
        needs=(join_name(machine),),
        needs_machines=(machine.name,),
        deadline=_READY + 30,
        instead=instead,
    )


def _kube_proxy(topology: Topology) -> laid.Laid:
    """The API's own Service stands for all: kube-proxy lays one table for them. Who flushes that leaves its chains and
    the elements of its maps: rules are looked for in each chain that packets come to by themselves, and in the two that
    all Services share."""
    api = topology.spec.kubernetes.services[1]
    return laid.Laid(
        name="service-rules",
        why="have kube-proxy's rules on it: Services answer there",
        look=f"""\
nft get element ip kube-proxy service-ips '{{ {api} . tcp . 443 }}' >/dev/null 2>&1 &&
nft --terse list table ip kube-proxy 2>/dev/null | awk '
$1 == "chain" {{ chain = $2; needed = chain ~ /^(services|masquerading)$/; rules = 0; next }}
chain && $1 == "}}" {{ if (needed) {{ found++; if (!rules) empty++ }} chain = ""; next }}
chain && $1 == "type" && $3 == "hook" {{ needed = 1; next }}
chain && $1 != "comment" {{ rules++ }}
END {{ exit found < 3 || empty }}' ||
{{ echo "kube-proxy's rules are gone"; exit 1; }}
""",
        namespace="kube-system",
        selector="k8s-app=kube-proxy",
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
