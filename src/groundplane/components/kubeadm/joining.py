"""How a machine becomes part of the cluster, from whatever state an interruption left it in.

What is never done: taking data from a control plane whose etcd member votes. What an etcd may lose is decided by
the other members, through a read that only a majority can answer.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence

from groundplane.components.cluster import paths
from groundplane.components.cluster.api import Node, api_server, ask, kubectl, nodes
from groundplane.components.etcd.members import Member, etcd_members, member_of, none_joins, remove_member, settled
from groundplane.components.kubeadm import etcd_leaves
from groundplane.components.kubeadm.config import taints
from groundplane.components.kubeadm.facts import Facts, look, serves
from groundplane.components.kubeadm.founding import floating_answers
from groundplane.components.kubeadm.preparing import prepare
from groundplane.components.kubeadm.run import idle, kubeadm
from groundplane.components.kubeadm.token import discovery
from groundplane.components.pod_network import POD_NETWORK
from groundplane.components.podnet.identity import forget
from groundplane.spec.roles import Role
from groundplane.state.step import Reach
from groundplane.topology.model import Machine, Topology
from groundplane.verify.condition import NotYet, wait_until

JOIN_DEADLINE = 300.0

# Of a control plane's join, what was done before etcd's turn, and what comes after it. Left are the static pods.
_DONE = (
    "preflight",
    "control-plane-prepare/download-certs",
    "control-plane-prepare/certs",
    "control-plane-prepare/kubeconfig",
    "check-etcd",
    "kubelet-start",
    "kubelet-wait-bootstrap",
    "control-plane-join",
    "wait-control-plane",
)


def is_node(machine: Machine, facts: Facts, known: Mapping[str, Node]) -> bool:
    """Whether ``machine`` is a registered node that runs with its own credentials."""
    return facts.identity and facts.kubelet and not facts.bootstrap and machine.name in known


def is_member(machine: Machine, facts: Facts, members: Sequence[Member]) -> bool:
    """Whether ``machine`` holds the data of a voting member of etcd."""
    member = member_of(members, machine)
    return facts.etcd and member is not None and member.voting


def is_control_plane(machine: Machine, facts: Facts, members: Sequence[Member], known: Mapping[str, Node]) -> bool:
    """Whether ``machine``, where its API server is ready, is a whole control plane: a voting etcd member that serves
    clients, a registered node whose kubelet runs (its static pods go on without one, but nobody starts them again)."""
    member = member_of(members, machine)
    started = member is not None and member.started
    if not (started and is_member(machine, facts, members) and is_node(machine, facts, known)):
        return False
    return paths.CONTROL_PLANE_LABEL in known[machine.name].labels


async def join_as_node(reach: Reach, topology: Topology, machine: Machine) -> None:
    """Make ``machine`` a node of the standing cluster, to become a control plane."""
    facts = await _settled_facts(reach, topology, machine)
    if await _votes(reach, topology, machine, facts):
        await _restore(reach, topology, machine, facts)
    else:
        await _begin(reach, topology, machine, facts)


async def join_etcd(reach: Reach, topology: Topology, machine: Machine) -> None:
    """Make ``machine``, which is a node, a voting member of etcd. Until it serves clients some seconds pass, and its
    API server begins beside it: the next member waits for neither."""
    facts = await _settled_facts(reach, topology, machine)
    if await _votes(reach, topology, machine, facts):
        return
    if facts.etcd or facts.manifests:
        await _begin(reach, topology, machine, facts)
    await none_joins(reach, topology)
    await floating_answers(reach, topology, machine)
    await etcd_leaves.lay(reach, machine)
    await _until_it_votes(reach, topology, machine)


async def _until_it_votes(reach: Reach, topology: Topology, machine: Machine) -> None:
    """Have kubeadm join etcd, and leave it to itself when the member votes: all it does then is wait until that serves
    clients. Mostly that takes etcd eight seconds more: what a member publishes of itself, and waits for, reaches it
    inside the snapshot it begins with, unseen (``publishV3`` in etcd's server.go, which asks again after that time)."""

    async def votes() -> None:
        _, members = await etcd_members(reach, topology, but=machine.name)
        member = member_of(members, machine)
        if member is None or not member.voting:
            raise NotYet("it has no vote yet")

    skipped = f"--skip-phases={','.join(_DONE)}"
    joining = kubeadm(reach, machine.name, "join", f"--config={paths.JOIN}", skipped, deadline=JOIN_DEADLINE)
    voting = wait_until("it votes in etcd", votes, deadline=JOIN_DEADLINE, where=machine.name)
    both = [asyncio.ensure_future(joining), asyncio.ensure_future(voting)]
    try:
        done, _ = await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in both:
            task.cancel()
        await asyncio.gather(*both, return_exceptions=True)
    for task in done:
        task.result()


async def finish_control_plane(reach: Reach, topology: Topology, machine: Machine) -> None:
    """See that ``machine``, which votes in etcd, is a whole control plane. Nothing is removed."""
    await idle(reach, topology, machine, deadline=JOIN_DEADLINE)
    await settled(reach, topology)

    async def api() -> None:
        if not await serves(reach, topology, machine):
            raise NotYet("its API server isn't ready")

    await wait_until(
        "its API server is ready",
        api,
        deadline=120,
        where=machine.name,
        hint=f"`journalctl -u kubelet` on {machine.name} tells why it isn't; its data was left alone",
    )
    await _lean_on_itself(reach, topology, machine)
    await _label(
        reach,
        topology,
        machine,
        f"{paths.CONTROL_PLANE_LABEL}=",
        "node.kubernetes.io/exclude-from-external-load-balancers=",
    )


def labelled_worker(machine: Machine, known: Mapping[str, Node]) -> bool:
    """Whether the cluster shows ``machine`` as a worker."""
    node = known.get(machine.name)
    return node is not None and paths.WORKER_LABEL in node.labels


async def label_worker(reach: Reach, topology: Topology, machine: Machine) -> None:
    """Have the cluster show ``machine`` as a worker."""
    await _label(reach, topology, machine, f"{paths.WORKER_LABEL}=")


def is_worker(machine: Machine, facts: Facts, known: Mapping[str, Node]) -> bool:
    """Whether ``machine`` is a registered worker that runs with its own credentials."""
    return is_node(machine, facts, known) and labelled_worker(machine, known)


async def join_worker(reach: Reach, topology: Topology, machine: Machine) -> None:
    """Make ``machine`` a worker. One the cluster knows, and that has its own credentials, is never cleared: its
    kubelet may be stopped but its pods run on."""
    facts = await _settled_facts(reach, topology, machine)
    known = await nodes(reach, topology)
    if facts.identity and machine.name in known:
        await reach.run(machine.name, ("rm", "-f", paths.BOOTSTRAP))
        await reach.run(machine.name, ("systemctl", "restart", "kubelet"))  # one that ends again and again is "started"
    else:
        if not facts.untouched:
            await _clear(reach, machine, etcd=False)
        await _forget_node(reach, topology, machine)
        async with discovery(reach, topology, machine):
            await kubeadm(reach, machine.name, "join", f"--config={paths.JOIN}", deadline=JOIN_DEADLINE)
    await _registered(reach, topology, machine)
    await label_worker(reach, topology, machine)


async def _settled_facts(reach: Reach, topology: Topology, machine: Machine) -> Facts:
    """What the machine knows once no kubeadm of an earlier run goes on there."""
    facts = await look(reach, topology, machine)
    if facts.kubeadm or facts.preparing:
        await idle(reach, topology, machine, deadline=JOIN_DEADLINE)
        facts = await look(reach, topology, machine)
    return facts


async def _votes(reach: Reach, topology: Topology, machine: Machine, facts: Facts) -> bool:
    """Whether ``machine`` holds the data of a voting member of etcd: nothing may be taken from it then. A member that
    has never voted, or whose data went with its machine, has nothing that the others lack, and is taken out."""
    witness, members = await etcd_members(reach, topology, but="" if facts.etcd else machine.name)
    member = member_of(members, machine)
    if member is None or (member.voting and facts.etcd):
        return member is not None
    await remove_member(reach, witness, member)
    return False


async def _begin(reach: Reach, topology: Topology, machine: Machine, facts: Facts) -> None:
    """Have the kubelet run and register, on a machine that isn't a member of etcd."""
    if not facts.ready:
        if not facts.untouched:
            await _clear(reach, machine, etcd=True)
        await prepare(reach, machine)
    await _forget_node(reach, topology, machine)
    await floating_answers(reach, topology, machine)
    # kubeadm has the kubelet of a control plane lean on the machine's own API server, which doesn't run yet.
    await reach.run(machine.name, _led_to(f"https://{topology.api_host}:{topology.api_port}"))
    await kubeadm(reach, machine.name, "init", "phase", "kubelet-start", f"--config={paths.INIT}", deadline=60)
    await _registered(reach, topology, machine)
    await _taint(reach, topology, machine)


async def _restore(reach: Reach, topology: Topology, machine: Machine, facts: Facts) -> None:
    """Make a member of etcd a node again, or for the first time. Nothing is removed but a join's left-over
    credentials; its own come from the authority it holds."""
    if not facts.identity:
        # A kubelet that was still asking for its certificate has written a kubeconfig that names none yet. One that
        # isn't good would be taken before what the kubeconfig holds.
        await reach.run(machine.name, ("rm", "-f", paths.KUBELET, paths.BOOTSTRAP, paths.CLIENT))
        await kubeadm(
            reach, machine.name, "init", "phase", "kubeconfig", "kubelet", f"--config={paths.INIT}", deadline=60
        )
    if not facts.admin:
        await kubeadm(
            reach, machine.name, "init", "phase", "kubeconfig", "admin", f"--config={paths.INIT}", deadline=60
        )
    await reach.run(machine.name, ("rm", "-f", paths.BOOTSTRAP))
    # A kubelet registers when it begins: one whose node was deleted under it never would.
    if not facts.kubelet or not facts.identity or machine.name not in await nodes(reach, topology):
        await reach.run(machine.name, ("systemctl", "restart", "kubelet"))
    await _registered(reach, topology, machine)
    await _taint(reach, topology, machine)
    if not facts.identity:
        await _lean_on_itself(reach, topology, machine)


async def _taint(reach: Reach, topology: Topology, machine: Machine) -> None:
    for key in taints(topology, machine) or ():
        await ask(reach, topology, kubectl("taint", "nodes", machine.name, f"{key}:NoSchedule", "--overwrite"))


async def _lean_on_itself(reach: Reach, topology: Topology, machine: Machine) -> None:
    """Have the kubelet ask the machine's own API server, and its kubeconfig name the certificate it renews, where it
    holds one that would end with its year."""
    turned = (await reach.run(machine.name, _led_to(api_server(topology, machine)))).text
    if (await look(reach, topology, machine)).embedded:
        phase = ("init", "phase", "kubelet-finalize", "enable-client-cert-rotation")
        await kubeadm(reach, machine.name, *phase, f"--config={paths.INIT}", deadline=60)  # restarts it as well
    elif turned:
        await reach.run(machine.name, ("systemctl", "restart", "kubelet"))


def _led_to(server: str) -> tuple[str, ...]:
    """The command that has the kubelet's kubeconfig name ``server``; it says so where another one stood there."""
    script = r"""grep -qx " *server: $1" "$2" || { sed -i "s|^\( *server: \).*|\1$1|" "$2" && echo turned; }"""
    return ("sh", "-c", script, "lead", server, paths.KUBELET)


async def _registered(reach: Reach, topology: Topology, machine: Machine) -> None:
    async def probe() -> None:
        if machine.name not in await nodes(reach, topology):
            raise NotYet("the cluster doesn't know it yet")

    await wait_until(
        "the node registers",
        probe,
        deadline=90,
        where=machine.name,
        hint=f"`journalctl -u kubelet` on {machine.name} tells why it doesn't",
    )


async def _label(reach: Reach, topology: Topology, machine: Machine, *labels: str) -> None:
    await ask(reach, topology, kubectl("label", "nodes", machine.name, "--overwrite", *labels))


async def _forget_node(reach: Reach, topology: Topology, machine: Machine) -> None:
    """Delete what the cluster remembers of an earlier machine of this name; kubeadm refuses a name that is Ready."""
    await ask(reach, topology, kubectl("delete", "node", machine.name, "--ignore-not-found", "--wait=true"), timeout=60)


async def _clear(reach: Reach, machine: Machine, *, etcd: bool) -> None:
    """Undo a join that wasn't finished, so that it can begin anew.

    ``kubeadm reset`` stops the kubelet, unmounts its pods' volumes and removes its containers. Its etcd phase is
    left out because it wipes the data even where it couldn't remove the member, and a folder that doesn't exist is
    given as the certificates' because it would delete the authorities. What the pods' network derived from the node
    that was goes as well.
    """
    await reach.run(
        machine.name,
        (
            "kubeadm",
            "reset",
            "--force",
            "--skip-phases=remove-etcd-member",
            f"--cert-dir={paths.RUN}/nothing",
            f"--cri-socket={paths.CRI_SOCKET}",
        ),
        timeout=120,
    )
    remove = [*paths.DERIVED, *([f"{paths.ETCD_DATA}/*"] if etcd else [])]
    if not machine.has(Role.CONTROL_PLANE):
        remove.append(f"{paths.PKI}/ca.crt")
    await reach.run(machine.name, ("sh", "-c", f"rm -rf {' '.join(remove)}"))
    await forget(reach, machine, POD_NETWORK)
