"""How the cluster begins, and how a beginning that was interrupted goes on: once, and never over data."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress

from groundplane.components.cluster import paths
from groundplane.components.cluster.api import ATTEMPTS, any_control_plane, kubectl, read
from groundplane.components.etcd.anew import begins_anew
from groundplane.components.kubeadm import etcd_leaves
from groundplane.components.kubeadm.facts import Facts, look
from groundplane.components.kubeadm.run import idle, kubeadm
from groundplane.components.kubeadm.token import revoke
from groundplane.errors import ConditionTimeout, StepError, TransportError
from groundplane.state.step import Reach
from groundplane.topology.model import Machine, Topology
from groundplane.verify.condition import NotYet, wait_until

INIT_DEADLINE = 420.0
REVIVAL_DEADLINE = 120.0  # seconds a control plane that was whole gets to start its static pods

_TOKEN_UNSAID = "--skip-token-print"  # its words are kept in a file

# The last thing each phase of `kubeadm init` makes in the API.
_FOUNDATIONS = (
    "configmap/kubeadm-config",
    "configmap/kubelet-config",
    "clusterrolebinding/kubeadm:node-autoapprove-certificate-rotation",
    "deployment/coredns",
    "daemonset/kube-proxy",
    "rolebinding/kube-proxy",
)


async def initialised(reach: Reach, topology: Topology, *, attempts: int = ATTEMPTS) -> bool:
    """Whether the cluster stands: some control plane answers, and the last object of every phase is there.

    One that answers but forbids the question hasn't got its administrator's permissions yet: it doesn't stand.
    """
    argv = kubectl("get", "--namespace=kube-system", "--ignore-not-found", "--output=name", *_FOUNDATIONS)
    try:
        answer = await read(reach, topology, argv, attempts=attempts)
    except StepError:
        return False
    return len(answer.text.split()) == len(_FOUNDATIONS)


async def founded(reach: Reach, topology: Topology, facts: Sequence[Callable[[Reach], Awaitable[Facts]]]) -> bool:
    """Whether the cluster stands, once; ``facts`` ask the control planes. kubectl tries on for twenty seconds where no
    API server listens behind the floating address, so the machines are asked beside it: where none has etcd's data,
    there is no cluster to wait for."""
    answer = asyncio.ensure_future(initialised(reach, topology, attempts=1))
    try:
        with suppress(StepError, TransportError):  # who can't be asked may have it
            if not any(seen.etcd for seen in await asyncio.gather(*(ask(reach) for ask in facts))):
                return False
        return await answer
    finally:
        answer.cancel()
        await asyncio.gather(answer, return_exceptions=True)


async def initialise(reach: Reach, topology: Topology) -> None:
    """Begin the cluster, or go on with a beginning that was interrupted.

    On the control plane that has etcd data if exactly one has; on the first in order if none has. kubeadm's
    phases make what is missing and keep what is there, so going on never loses data. With data on several, a
    cluster exists whose members can't agree yet: that is waited for, never begun anew. So is a single control
    plane that was whole and only starts again.
    """
    facts = await _look_at_all(reach, topology)
    if any(seen.kubeadm for seen in facts.values()):
        for one in topology.control_planes:
            await idle(reach, topology, one, deadline=INIT_DEADLINE)
        if await any_control_plane(reach, topology) is not None and await initialised(reach, topology):
            return
        facts = await _look_at_all(reach, topology)
    holders = [machine for machine in topology.control_planes if facts[machine.name].etcd]
    if len(holders) > 1:
        await _finish_standing(reach, topology)
        return
    machine = holders[0] if holders else topology.control_planes[0]
    anew = bool(holders) and await begins_anew(reach, machine)
    if not anew and _whole(facts[machine.name]) and await _revived(reach, topology):
        return
    await floating_answers(reach, topology, machine)
    arguments = ["init", f"--config={paths.INIT}", _TOKEN_UNSAID]
    if not facts[machine.name].untouched:
        await _remove_derived(reach, machine)
        arguments.append(f"--ignore-preflight-errors={_in_its_way(topology)}")
    await etcd_leaves.lay(reach, machine)
    await kubeadm(reach, machine.name, *arguments, deadline=INIT_DEADLINE)
    # kubeadm leaves credentials above all permissions where it began. Any control plane can make them again from
    # the authority it holds; lying on one of them they would only make that one special.
    await asyncio.gather(
        reach.run(machine.name, ("rm", "-f", paths.SUPER_ADMIN)),
        revoke(reach, topology, paths.TOKEN_DESCRIPTION),
    )


def _in_its_way(topology: Topology) -> str:
    """What `kubeadm init` finds when it goes on with what an interrupted one began."""
    ports = (2379, 2380, topology.api_port, 10250, 10257, 10259)
    return ",".join(("DirAvailable--var-lib-etcd", *(f"Port-{port}" for port in ports)))


def _whole(facts: Facts) -> bool:
    """Whether everything `kubeadm init` puts on a machine is there, as after a power cycle."""
    return facts.etcd and facts.identity and facts.admin and facts.manifests and facts.kubelet


async def _revived(reach: Reach, topology: Topology) -> bool:
    """Give the cluster the time a start takes; whether it stands then."""
    try:
        await _answering(reach, topology, deadline=REVIVAL_DEADLINE)
    except ConditionTimeout:
        return False
    return await initialised(reach, topology)


async def _look_at_all(reach: Reach, topology: Topology) -> dict[str, Facts]:
    seen = await asyncio.gather(*(_look_surely(reach, topology, machine) for machine in topology.control_planes))
    return {machine.name: facts for machine, facts in zip(topology.control_planes, seen, strict=True)}


async def _look_surely(reach: Reach, topology: Topology, machine: Machine) -> Facts:
    try:
        return await look(reach, topology, machine)
    except TransportError as error:
        raise StepError(
            "whether a cluster exists already can't be told while a control plane doesn't answer",
            where=machine.name,
            hint=f"start {machine.name}, then run the command again; or take it out of the cluster file",
            detail=error.what,
        ) from error


async def _answering(reach: Reach, topology: Topology, *, deadline: float) -> None:
    async def answers() -> None:
        if await any_control_plane(reach, topology) is None:
            raise NotYet("no control plane answers for the cluster")

    await wait_until(
        "the existing cluster answers",
        answers,
        deadline=deadline,
        every=2,
        where="platform",
        hint="a majority of the control planes that hold its data must run",
    )


async def _finish_standing(reach: Reach, topology: Topology) -> None:
    """Wait for an existing cluster to answer, then make what is missing of its foundations."""
    await _answering(reach, topology, deadline=INIT_DEADLINE / 2)
    name = await any_control_plane(reach, topology)
    if name is None or await initialised(reach, topology):
        return
    for phase in (("upload-config", "all"), ("bootstrap-token", _TOKEN_UNSAID), ("addon", "all")):
        await kubeadm(reach, name, "init", "phase", *phase, f"--config={paths.INIT}", deadline=120)
    await revoke(reach, topology, paths.TOKEN_DESCRIPTION)


async def floating_answers(reach: Reach, topology: Topology, machine: Machine) -> None:
    """kubeadm talks to its own new API server through the floating address: a balancer must listen there."""
    argv = ("timeout", "3", "bash", "-c", f"exec 3<>/dev/tcp/{topology.api_host}/{topology.api_port}")

    async def probe() -> None:
        await reach.run(machine.name, argv, timeout=10)

    await wait_until(
        f"{topology.api_host}:{topology.api_port} accepts connections",
        probe,
        deadline=90,
        every=0.5,
        where=machine.name,
        hint="a balancer must hold the floating address; `crm status` on one of them tells which",
    )


async def _remove_derived(reach: Reach, machine: Machine) -> None:
    """Remove what kubeadm makes itself, in case it was interrupted while writing one of these files."""
    await reach.run(machine.name, ("sh", "-c", f"systemctl stop kubelet; rm -f {' '.join(paths.DERIVED)}"))
