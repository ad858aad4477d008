"""What the checks look at, part by part. A probe returns what it saw, or raises NotYet with what it saw instead."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

from groundplane.components.cluster import paths
from groundplane.components.cluster.answers import Answer, parse_answers
from groundplane.components.cluster.api import any_control_plane, api_server, kubectl, loads, pod_ready, read
from groundplane.components.cluster.api import nodes as cluster_nodes
from groundplane.components.cluster.names import STATIC_PODS
from groundplane.components.everywhere import some
from groundplane.components.kubeadm.status import Certificate
from groundplane.components.kubeadm.status import certificates as all_certificates
from groundplane.errors import TransportError
from groundplane.state.step import Reach
from groundplane.topology.model import Machine, Topology
from groundplane.verify.condition import NotYet

OPEN_PATHS = ("/livez", "/readyz?verbose", "/healthz")  # its words fill more than one packet
SHUT_PATHS = (
    "/api",
    "/version",
    "/metrics",
    "/openapi/v2",
    "/livez/etcd",
    "/api/v1/namespaces/kube-public/configmaps/cluster-info",
)
# A request the audit policy records, to the machine's own API server (its URL is given); then a log that was written to
# since.
_AUDIT = f"""
kubectl --kubeconfig={paths.ADMIN} --server="$1" --request-timeout=10s \\
  get --raw=/api/v1/namespaces/default >/dev/null || exit 1
find /var/log/kubernetes/audit -name '*.log' -size +0 -newermt '30 seconds ago'
"""
_STRANGER = (Path(__file__).parent / "remote" / "ask_as_stranger.py").read_text()


async def api(reach: Reach, topology: Topology) -> str:
    machine = await any_control_plane(reach, topology)
    if machine is None:
        raise NotYet("no control plane is answered")
    return f"it answers {machine}"


async def nodes(reach: Reach, topology: Topology) -> str:
    known = await cluster_nodes(reach, topology)
    version = f"v{topology.software.kubernetes}"
    wrong = []
    for machine in topology.nodes:
        node = known.get(machine.name)
        if node is None:
            wrong.append(f"{machine.name} isn't in the cluster")
        elif not node.ready:
            wrong.append(f"{machine.name} isn't ready")
        elif node.version != version:
            wrong.append(f"{machine.name} runs {node.version}")
    strangers = sorted(set(known) - {machine.name for machine in topology.nodes})
    wrong += [f"{name} isn't in the cluster file" for name in strangers]
    if wrong:
        raise NotYet("; ".join(wrong))
    return f"{len(topology.nodes)} nodes ready at {version}"


async def static_pods(reach: Reach, topology: Topology) -> str:
    argv = kubectl("get", "pods", "--namespace=kube-system", "--selector=tier=control-plane", "--output=json")
    items = loads((await read(reach, topology, argv)).text)["items"]
    ready = {item["metadata"]["name"] for item in items if pod_ready(item)}
    wanted = [f"{part}-{machine.name}" for machine in topology.control_planes for part in STATIC_PODS]
    missing = [name for name in wanted if name not in ready]
    if missing:
        raise NotYet(f"not ready: {', '.join(missing)}")
    argv = kubectl("get", "endpointslice", "kubernetes", "--namespace=default", "--output=json")
    found = loads((await read(reach, topology, argv)).text)["endpoints"] or ()
    led_to = {address for endpoint in found for address in endpoint["addresses"]}
    if led_to != (ours := {str(machine.address) for machine in topology.control_planes}):
        raise NotYet(f"the Service `kubernetes` leads to {some(sorted(led_to))} instead of {some(sorted(ours))}")
    return f"{len(wanted)} static pods ready, the Service `kubernetes` leads to these {len(ours)} API servers"


async def addons(reach: Reach, topology: Topology) -> str:
    argv = kubectl("get", "--namespace=kube-system", "--output=json", "daemonset/kube-proxy", "deployment/coredns")
    proxy, dns = loads((await read(reach, topology, argv)).text)["items"]
    proxies, wanted = int(proxy.get("status", {}).get("numberReady", 0)), len(topology.nodes)
    servers, replicas = int(dns.get("status", {}).get("readyReplicas", 0)), int(dns["spec"]["replicas"])
    if proxies < wanted or servers < replicas:
        raise NotYet(f"kube-proxy is ready on {proxies} of {wanted} nodes, {servers} of {replicas} CoreDNS are ready")
    return f"kube-proxy ready on {proxies} nodes, {servers} CoreDNS ready"


async def certificates(reach: Reach, topology: Topology) -> str:
    seen = await all_certificates(reach, topology)
    if seen.silent:
        raise NotYet(f"{', '.join(seen.silent)} didn't answer")
    if seen.unreadable:
        raise NotYet(f"unreadable: {', '.join(seen.unreadable)}")
    if seen.none or not seen.found:
        raise NotYet(f"there are none on {', '.join(seen.none)}")
    soonest = seen.found[0]
    if ending := [certificate for certificate in seen.found if certificate.soon]:
        raise NotYet(some(map(_end, ending)), remedy="; ".join(dict.fromkeys(one.remedy for one in ending)))
    return f"{len(seen.found)} certificates; first {_end(soonest)}"


def _end(certificate: Certificate) -> str:
    return f"{certificate.path} on {certificate.machine} ends {certificate.ends:%Y-%m-%d}"


async def audit(reach: Reach, topology: Topology) -> str:
    """Every API server writes down a request made just now."""

    async def one(machine: Machine) -> str:
        argv = ("sh", "-c", _AUDIT, "audit", api_server(topology, machine))
        try:
            return "" if (await reach.run(machine.name, argv, timeout=20)).text else machine.name
        except TransportError:
            return machine.name

    without = [name for name in await asyncio.gather(*map(one, topology.control_planes)) if name]
    if without:
        raise NotYet(f"a request made just now is in no audit log on {', '.join(without)}")
    return f"{len(topology.control_planes)} audit logs are being written"


async def tokens(reach: Reach, topology: Topology) -> str:
    argv = kubectl(
        "get",
        "secrets",
        "--namespace=kube-system",
        "--field-selector=type=bootstrap.kubernetes.io/token",
        "--output=name",
    )
    left = (await read(reach, topology, argv)).text.split()
    if left:
        raise NotYet(f"{len(left)} bootstrap tokens exist: {', '.join(left)}")
    return "no bootstrap token exists"


async def as_stranger(reach: Reach, topology: Topology) -> tuple[Answer, ...]:
    machine = await any_control_plane(reach, topology)
    if machine is None:
        raise NotYet("no control plane answers for the cluster")
    wanted = {
        "authority": f"{paths.PKI}/ca.crt",
        "port": topology.api_port,
        "apis": [*(str(cp.address) for cp in topology.control_planes), str(topology.lan.floating)],
        "kubelets": [str(node.address) for node in topology.nodes],
        "open": OPEN_PATHS,
        "shut": SHUT_PATHS,
    }
    answer = await reach.run(machine, ("python3", "-I", "-c", _STRANGER), stdin=json.dumps(wanted).encode(), timeout=60)
    return parse_answers(machine, answer.text)
