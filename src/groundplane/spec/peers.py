"""Who else's files are taken for cluster files: how each is known, and what its parts are called here.

The formats are those of their documentation: k0sctl and k0s (k0sproject.io), kind (kind.sigs.k8s.io), Talos
(talos.dev), kubespray (an Ansible inventory and its group_vars), kubeadm (kubeadm.k8s.io), Cluster API
(cluster.x-k8s.io), k3s and RKE2 (docs.k3s.io, docs.rke2.io).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from ipaddress import ip_address, ip_network
from typing import Final

from groundplane.spec.document import Value
from groundplane.spec.problem import shown

Translate = Callable[[Value], Value]
"""From a peer's value to ours; None where nothing can be made of it."""


@dataclass(frozen=True, slots=True)
class Counterpart:
    """What stands at ``theirs`` in a peer's file stands at ``ours`` in a cluster file."""

    theirs: str
    ours: str
    translate: Translate


@dataclass(frozen=True, slots=True)
class Peer:
    """A kind of file. ``key`` is where to point: what gives it away; ``marks`` are keys that only such files have."""

    name: str
    key: str = "apiVersion"
    counterparts: tuple[Counterpart, ...] = ()
    marks: tuple[str, ...] = ()


def recognised(data: Mapping[str, Value]) -> Peer | None:
    """Whose file this is, or None: one of ours, or of nobody known."""
    version, kind = data.get("apiVersion"), data.get("kind")
    if isinstance(version, str) and isinstance(kind, str):
        return _by_group(version.partition("/")[0], kind)
    if isinstance(data.get("machine"), dict) and ("cluster" in data or "version" in data):
        return _TALOS
    if isinstance(everything := data.get("all"), dict) and ("children" in everything or "hosts" in everything):
        return _INVENTORY
    for peer in _BY_MARKS:
        if (mark := next((key for key in data if key in peer.marks), None)) is not None:
            return replace(peer, key=mark)
    return None


def _by_group(group: str, kind: str) -> Peer | None:
    """By the API group and kind of a Kubernetes object."""
    for ending, peer in _BY_GROUP:
        if group == ending or group.endswith(f".{ending}"):
            counterparts = peer.counterparts
            if (role := _REPLICAS_OF.get(kind)) is not None:
                counterparts += (Counterpart("spec.replicas", f"machines.{role}", _number),)
            return replace(peer, name=f"{peer.name} ({shown(kind)})", counterparts=counterparts)
    return Peer(f"Kubernetes ({shown(kind)})")


def _name(value: Value) -> Value:
    return value if isinstance(value, str) else None


def _range(value: Value) -> Value:
    """The first IPv4 range of one, of several with commas between, or of a list."""
    texts = value if isinstance(value, list) else str(value).split(",")
    for text in texts:
        try:
            if (network := ip_network(str(text).strip())).version == 4:
                return str(network)
        except ValueError:
            continue
    return None


def _address(value: Value) -> Value:
    """The address of ``https://10.0.0.10:6443``, ``10.0.0.10:6443`` or ``10.0.0.10``; a name is none."""
    text = re.sub(r"^[a-z]+://|:[0-9]+/?$", "", str(value))
    try:
        return text if ip_address(text).version == 4 else None
    except ValueError:
        return None


def _version(value: Value) -> Value:
    """The three numbers of ``v1.37.2``, ``v1.37.2+k3s1`` or an image's tag."""
    match = re.search(r"(?:^|[:v])v?([0-9]+\.[0-9]+\.[0-9]+)(?:$|[+@-])", str(value))
    return match[1] if match else None


def _roles(value: Value) -> Value:
    """A list of hosts or nodes with roles, counted."""
    if not isinstance(value, list):
        return None
    roles = [str(entry.get("role", "")) for entry in value if isinstance(entry, dict)]
    planes = sum(role.startswith(("control", "single", "master", "server")) for role in roles)
    workers = sum(role in ("worker", "agent") for role in roles)
    return {"control-plane": planes, "worker": workers} if planes else None


def _number(value: Value) -> Value:
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def _hosts(value: Value) -> Value:
    return len(value) if isinstance(value, (dict, list)) and value else None


def _untold(value: Value) -> Value:
    """For a part whose place is known and whose value isn't: one machine's here, all machines' there."""
    return None


def _parts(*rows: tuple[str, str, Translate]) -> tuple[Counterpart, ...]:
    return tuple(Counterpart(*row) for row in rows)


_PODS, _SERVICES, _VERSION, _FLOATING = (
    "kubernetes.pods",
    "kubernetes.services",
    "kubernetes.version",
    "network.floating-address",
)
# Objects of Cluster API whose replicas are machines of a role.
_REPLICAS_OF: Final[Mapping[str, str]] = {
    "KubeadmControlPlane": "control-plane",
    "MachineDeployment": "worker",
    "MachinePool": "worker",
}
_K0S = "spec.k0s.config.spec.network"
_BY_GROUP: tuple[tuple[str, Peer], ...] = (
    (
        "k0sctl.k0sproject.io",
        Peer(
            "k0sctl",
            counterparts=_parts(
                ("metadata.name", "name", _name),
                ("spec.hosts", "machines", _roles),
                ("spec.k0s.version", _VERSION, _version),
                (f"{_K0S}.podCIDR", _PODS, _range),
                (f"{_K0S}.serviceCIDR", _SERVICES, _range),
            ),
        ),
    ),
    (
        "k0s.k0sproject.io",
        Peer(
            "k0s",
            counterparts=_parts(
                ("metadata.name", "name", _name),
                ("spec.network.podCIDR", _PODS, _range),
                ("spec.network.serviceCIDR", _SERVICES, _range),
                ("spec.api.externalAddress", _FLOATING, _address),
            ),
        ),
    ),
    (
        "kind.x-k8s.io",
        Peer(
            "kind",
            counterparts=_parts(
                ("name", "name", _name),
                ("nodes", "machines", _roles),
                ("networking.podSubnet", _PODS, _range),
                ("networking.serviceSubnet", _SERVICES, _range),
            ),
        ),
    ),
    (
        "kubeadm.k8s.io",
        Peer(
            "kubeadm",
            counterparts=_parts(
                ("clusterName", "name", _name),
                ("kubernetesVersion", _VERSION, _version),
                ("controlPlaneEndpoint", _FLOATING, _address),
                ("networking.podSubnet", _PODS, _range),
                ("networking.serviceSubnet", _SERVICES, _range),
                ("nodeRegistration.name", "machines[].name", _untold),
            ),
        ),
    ),
    (
        "cluster.x-k8s.io",
        Peer(
            "Cluster API",
            counterparts=_parts(
                ("spec.clusterNetwork.pods.cidrBlocks", _PODS, _range),
                ("spec.clusterNetwork.services.cidrBlocks", _SERVICES, _range),
                ("spec.controlPlaneEndpoint.host", _FLOATING, _address),
                ("spec.topology.version", _VERSION, _version),
                ("spec.topology.controlPlane.replicas", "machines.control-plane", _number),
                ("spec.topology.workers.machineDeployments", "machines.worker", _hosts),
                ("spec.version", _VERSION, _version),
                ("spec.template.spec.version", _VERSION, _version),
            ),
        ),
    ),
    (
        "k3d.io",
        Peer(
            "k3d",
            counterparts=_parts(
                ("metadata.name", "name", _name),
                ("servers", "machines.control-plane", _number),
                ("agents", "machines.worker", _number),
            ),
        ),
    ),
    ("kops.k8s.io", Peer("kOps", counterparts=_parts(("spec.kubernetesVersion", _VERSION, _version)))),
    ("eksctl.io", Peer("eksctl", counterparts=_parts(("metadata.name", "name", _name)))),
)
_TALOS = Peer(
    "Talos (a machine configuration)",
    "machine",
    _parts(
        ("machine.type", "machines[].role", _untold),
        ("machine.network.hostname", "machines[].name", _untold),
        ("machine.kubelet.image", _VERSION, _version),
        ("cluster.clusterName", "name", _name),
        ("cluster.controlPlane.endpoint", _FLOATING, _address),
        ("cluster.network.podSubnets", _PODS, _range),
        ("cluster.network.serviceSubnets", _SERVICES, _range),
    ),
)
_INVENTORY = Peer(
    "kubespray (an inventory)",
    "all",
    _parts(
        ("all.hosts", "machines", _untold),
        ("all.children.kube_control_plane.hosts", "machines.control-plane", _hosts),
        ("all.children.kube_node.hosts", "machines.worker", _hosts),
    ),
)
_BY_MARKS = (
    Peer(
        "kubespray (group_vars)",
        marks=("kube_version", "kube_pods_subnet", "kube_service_addresses", "kube_network_plugin"),
        counterparts=_parts(
            ("kube_version", _VERSION, _version),
            ("kube_pods_subnet", _PODS, _range),
            ("kube_service_addresses", _SERVICES, _range),
            ("loadbalancer_apiserver.address", _FLOATING, _address),
        ),
    ),
    Peer(
        "k3s or RKE2",
        marks=("cluster-cidr", "service-cidr", "cluster-init", "node-name", "tls-san", "write-kubeconfig-mode"),
        counterparts=_parts(
            ("cluster-cidr", _PODS, _range),
            ("service-cidr", _SERVICES, _range),
            ("node-name", "machines[].name", _untold),
            ("tls-san", _FLOATING, _untold),
        ),
    ),
)
