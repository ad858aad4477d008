"""Who else's files are taken for cluster files: how each is known, and what its parts are called here.

The formats are those of their documentation: k0sctl and k0s (k0sproject.io), kind (kind.sigs.k8s.io), Talos
(talos.dev), kubespray (an Ansible inventory and its group_vars), kubeadm (kubeadm.k8s.io), Cluster API
(cluster.x-k8s.io), k3s and RKE2 (docs.k3s.io, docs.rke2.io), RKE (rke.docs.rancher.com), KubeOne
(docs.kubermatic.com), KubeKey (github.com/kubesphere/kubekey), talhelper (budimanjojo.github.io/talhelper).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from ipaddress import ip_address, ip_network
from typing import Final

from groundplane.spec.document import Value
from groundplane.spec.problem import MOST, shown

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
    """A kind of file. ``key`` is where to point: what gives it away; ``marks`` are keys that only such files have.
    ``telling``: such a file is of one tool alone."""

    name: str
    key: str = "apiVersion"
    counterparts: tuple[Counterpart, ...] = ()
    marks: tuple[str, ...] = ()
    telling: bool = True


def recognised(data: Mapping[str, Value]) -> Peer | None:
    """Whose file this is, or None: one of ours, or of nobody known."""
    version, kind = data.get("apiVersion"), data.get("kind")
    if isinstance(version, str) and isinstance(kind, str):
        return _by_group(version.partition("/")[0], kind)
    for key, theirs in _TALOS_KEYS.items():
        # Neither stanza has a `name`: whoever writes one means a platform or a machine of ours.
        stanza = data.get(key)
        if isinstance(stanza, dict) and "name" not in stanza:
            whole = data.get("version") == "v1alpha1"
            if whole or not theirs.isdisjoint(stanza):
                return replace(_TALOS, key=key)
    if isinstance(everything := data.get("all"), dict) and ("children" in everything or "hosts" in everything):
        return _INVENTORY
    for peer in _BY_MARKS:
        if (mark := next((key for key in data if key in peer.marks), None)) is not None:
            return replace(peer, key=mark)
    return _by_form(data)


def _by_form(data: Mapping[str, Value]) -> Peer | None:
    """A file whose keys others have as well, and some in another form. Where peers want an apiVersion it was left
    out."""
    spec, nodes, services = (data.get(key) for key in ("spec", "nodes", "services"))
    if isinstance(spec, dict) and (spec.keys() & {"hosts", "k0s"} or data.get("kind") == "ClusterConfig"):
        tool = "k0sctl.k0sproject.io" if spec.keys() & {"hosts", "k0s"} else "k0s.k0sproject.io"
        return replace(dict(_BY_GROUP)[tool], key="spec")
    node = nodes[0] if isinstance(nodes, list) and nodes else None
    # No peer's node has a `name`: that is a machine of ours, under a wrong key.
    if isinstance(node, dict) and "name" not in node:
        if {"hostname", "ipAddress"} <= node.keys():
            return replace(_TALHELPER, key="nodes")
        if isinstance(node.get("role"), list) or {"address", "user"} <= node.keys():
            return _RKE
        if node.get("role") in ("control-plane", "worker"):
            return replace(dict(_BY_GROUP)["kind.x-k8s.io"], key="nodes")
    if isinstance(services, dict) and services.keys() & {"kube-api", "kube-controller", "kubeproxy"}:
        return replace(_RKE, key="services")
    return None


def _by_group(group: str, kind: str) -> Peer | None:
    """By the API group and kind of a Kubernetes object."""
    for ending, peer in _BY_GROUP:
        if group == ending or group.endswith(f".{ending}"):
            counterparts = peer.counterparts
            if (role := _REPLICAS_OF.get(kind)) is not None:
                counterparts += (Counterpart("spec.replicas", f"machines.{role}", _number),)
            if kind == "Cluster" and peer.name == "Cluster API":
                # The names of the other objects are their own.
                counterparts = (Counterpart("metadata.name", "name", _name), *counterparts)
            return replace(peer, name=f"{peer.name} ({shown(kind)})", counterparts=counterparts)
    return Peer(f"Kubernetes ({shown(kind)})", telling=False)


def _name(value: Value) -> Value:
    return value if isinstance(value, str) else None


def _range(value: Value) -> Value:
    """The first IPv4 range of one, of several with commas between, or of a list."""
    texts = value if isinstance(value, list) else str(value).split(",", MOST)
    for text in texts[:MOST]:  # there are two of them at most, one for each family
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
    given = [entry.get("role", "") for entry in value if isinstance(entry, dict)]
    # RKE gives a node several. One that is a control plane as well isn't counted among the workers.
    roles = [each if isinstance(each, list) else [each] for each in given]
    planes = sum(any(str(one).startswith(("control", "single", "master", "server")) for one in each) for each in roles)
    workers = sum(each in (["worker"], ["agent"]) for each in roles)
    return {"control-plane": planes, "worker": workers} if planes else None


def _planes(value: Value) -> Value:
    """talhelper's nodes, counted."""
    if not isinstance(value, list):
        return None
    planes = sum(isinstance(entry, dict) and entry.get("controlPlane") is True for entry in value)
    return {"control-plane": planes, "worker": len(value) - planes} if planes else None


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
    (
        "kubeone.k8c.io",
        Peer(
            "KubeOne",
            counterparts=_parts(
                ("name", "name", _name),
                ("versions.kubernetes", _VERSION, _version),
                ("apiEndpoint.host", _FLOATING, _address),
                ("clusterNetwork.podSubnet", _PODS, _range),
                ("clusterNetwork.serviceSubnet", _SERVICES, _range),
                ("controlPlane.hosts", "machines.control-plane", _hosts),
                ("staticWorkers.hosts", "machines.worker", _hosts),
            ),
        ),
    ),
    (
        "kubekey.kubesphere.io",
        Peer(
            "KubeKey",
            counterparts=_parts(
                ("metadata.name", "name", _name),
                ("spec.hosts", "machines", _untold),
                ("spec.controlPlaneEndpoint.address", _FLOATING, _address),
                ("spec.kubernetes.version", _VERSION, _version),
                ("spec.network.kubePodsCIDR", _PODS, _range),
                ("spec.network.kubeServiceCIDR", _SERVICES, _range),
            ),
        ),
    ),
    ("v1alpha1", Peer("Talos", counterparts=_parts(("hostname", "machines[].name", _untold)))),
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
# Keys that stand in Talos' two stanzas, which have no apiVersion: `machine` alone may be meant for `machines`.
_TALOS_KEYS: Mapping[str, frozenset[str]] = {
    "machine": frozenset(
        {
            "type",
            "token",
            "ca",
            "certSANs",
            "kubelet",
            "network",
            "disks",
            "install",
            "files",
            "env",
            "sysctls",
            "registries",
            "features",
            "udev",
            "kernel",
            "nodeLabels",
        }
    ),
    "cluster": frozenset(
        {
            "controlPlane",
            "clusterName",
            "network",
            "apiServer",
            "controllerManager",
            "proxy",
            "scheduler",
            "discovery",
            "etcd",
            "extraManifests",
            "inlineManifests",
            "allowSchedulingOnControlPlanes",
        }
    ),
}
_TALHELPER = Peer(
    "talhelper (Talos)",
    "talosVersion",
    _parts(
        ("clusterName", "name", _name),
        ("kubernetesVersion", _VERSION, _version),
        ("endpoint", _FLOATING, _address),
        ("nodes", "machines", _planes),
        ("clusterPodNets", _PODS, _range),
        ("clusterSvcNets", _SERVICES, _range),
    ),
    marks=("talosVersion", "talosImageURL", "clusterPodNets", "clusterSvcNets"),
)
_RKE = Peer(
    "RKE",
    "nodes",
    _parts(
        ("cluster_name", "name", _name),
        ("kubernetes_version", _VERSION, _version),
        ("nodes", "machines", _roles),
        ("services.kube-controller.cluster_cidr", _PODS, _range),
        ("services.kube-api.service_cluster_ip_range", _SERVICES, _range),
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
        "kubespray (an inventory)",
        marks=("kube_control_plane", "kube_node", "k8s_cluster", "kube-master", "kube-node", "k8s-cluster"),
        counterparts=_parts(
            ("kube_control_plane.hosts", "machines.control-plane", _hosts),
            ("kube_node.hosts", "machines.worker", _hosts),
        ),
    ),
    _TALHELPER,
    Peer(
        "kubespray (group_vars)",
        marks=(
            "kube_version",
            "kube_pods_subnet",
            "kube_service_addresses",
            "kube_network_plugin",
            "loadbalancer_apiserver",
            "loadbalancer_apiserver_port",
            "bin_dir",
        ),
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
