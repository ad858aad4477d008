"""Keys at places where they don't belong, and files that are somebody else's."""

from __future__ import annotations

import json
from typing import Any

import pytest

from groundplane.spec import InvalidCluster, Key, explain, load
from groundplane.spec.document import plain_scalar

VERSIONS = ("1.37.2",)
STANZAS = sorted({key.path.rpartition(".")[0] for key in explain()})
MISPLACED = [
    (key, stanza)
    for key in explain()
    for stanza in STANZAS
    if key.name not in {other.name for other in explain() if other.path.rpartition(".")[0] == stanza}
]


def problems_of(text: str) -> list[tuple[str, str]]:
    with pytest.raises(InvalidCluster) as caught:
        load(text.encode(), name="cluster.yaml", versions=VERSIONS)
    return [(problem.message, problem.instead) for problem in caught.value.problems]


def with_key(key: Key, stanza: str) -> str:
    """A file that has the key, with a value it may have, in the wrong stanza."""
    whole: dict[str, Any] = {"name": "lab"}
    holder = whole
    for part in filter(None, stanza.split(".")):
        if part.endswith("[]"):
            holder = holder.setdefault(part.removesuffix("[]"), [{}])[0]
        else:
            holder = holder.setdefault(part, {})
    holder[key.name] = {} if key.kind.words.startswith("a stanza") else plain_scalar(key.kind.example)
    return json.dumps(whole)


def test_every_key_at_every_wrong_place_is_told_where_it_belongs() -> None:
    assert len(MISPLACED) > 300
    for key, stanza in MISPLACED:
        told = [instead for message, instead in problems_of(with_key(key, stanza)) if f"no key `{key.name}`" in message]
        assert len(told) == 1, (key.path, stanza)
        assert f"'{key.path}'" in told[0], (key.path, stanza, told)


K0SCTL = """
apiVersion: k0sctl.k0sproject.io/v1beta1
kind: Cluster
metadata: {name: my-k0s}
spec:
  hosts:
  - {role: controller, ssh: {address: 10.0.0.1}}
  - {role: worker, ssh: {address: 10.0.0.2}}
  k0s: {version: v1.37.2+k0s.0, config: {spec: {network: {podCIDR: 10.200.0.0/16}}}}
"""
KUBEADM = """
apiVersion: kubeadm.k8s.io/v1beta4
kind: InitConfiguration
---
apiVersion: kubeadm.k8s.io/v1beta4
kind: ClusterConfiguration
clusterName: 'yes'
controlPlaneEndpoint: 10.80.0.100:6443
networking: {serviceSubnet: 10.112.0.0/12}
"""
CLUSTER_API = """
apiVersion: cluster.x-k8s.io/v1beta1
kind: Cluster
spec: {clusterNetwork: {pods: {cidrBlocks: [192.168.0.0/16]}}}
---
apiVersion: controlplane.cluster.x-k8s.io/v1beta1
kind: KubeadmControlPlane
spec: {replicas: 3}
"""
TALOS = """
version: v1alpha1
machine: {type: worker}
cluster: {clusterName: t1, network: {podSubnets: [fd00::/56, 10.244.0.0/16]}}
"""
CLUSTER_API_WITH_A_SECRET = """
apiVersion: v1
kind: Secret
metadata: {name: identity}
---
apiVersion: cluster.x-k8s.io/v1beta1
kind: Cluster
metadata: {name: c1}
"""
KUBELET_FIRST = "apiVersion: kubelet.config.k8s.io/v1beta1\nkind: KubeletConfiguration\n---" + KUBEADM
HOSTNAME_FIRST = "apiVersion: v1alpha1\nkind: HostnameConfig\nhostname: a\n---" + TALOS
GROUPS = "kube_control_plane: {hosts: {a: }}\nkube_node: {hosts: {b: , c: }}\n"
RKE = """
cluster_name: r1
nodes:
- {address: 1.2.3.4, user: ubuntu, role: [controlplane, worker, etcd]}
- {address: 1.2.3.5, user: ubuntu, role: [worker]}
services: {kube-api: {service_cluster_ip_range: 10.43.0.0/16}, etcd: {}}
"""
TALHELPER = """
clusterName: home
talosVersion: v1.5.5
kubernetesVersion: v1.37.2
nodes: [{hostname: a, ipAddress: 1.2.3.4, controlPlane: true}, {hostname: b, ipAddress: 1.2.3.5}]
"""
KUBEONE = "apiVersion: kubeone.k8c.io/v1beta2\nkind: KubeOneCluster\nname: k1\nversions: {kubernetes: 1.37.2}\n"
KUBEKEY = """
apiVersion: kubekey.kubesphere.io/v1alpha2
kind: Cluster
metadata: {name: sample}
spec: {network: {kubePodsCIDR: 10.233.64.0/18}}
"""
INVENTORY = "all: {children: {kube_control_plane: {hosts: {a: }}, kube_node: {hosts: {b: , c: }}}}\n"
INI = "[kube_control_plane]\na ansible_host=10.0.0.1\n\n[kube_node]\n# none yet\nb\nc\n"


@pytest.mark.parametrize(
    ("text", "name", "stanzas"),
    [
        (
            K0SCTL,
            "k0sctl",
            ("name: my-k0s", "machines: {control-plane: 1, worker: 1}", "{version: 1.37.2}", "{pods: 10.200.0.0/16}"),
        ),
        (KUBEADM, "kubeadm", ("name: yes", "{floating-address: 10.80.0.100}", "{services: 10.112.0.0/12}")),
        (CLUSTER_API, "Cluster API", ("{pods: 192.168.0.0/16}", "machines: {control-plane: 3}")),
        (TALOS, "Talos", ("name: t1", "{pods: 10.244.0.0/16}")),
        ("kind: Cluster\napiVersion: kind.x-k8s.io/v1alpha4\nnodes: [{role: control-plane}]\n", "kind", ("worker: 0",)),
        (INVENTORY, "kubespray", ("{control-plane: 1}", "{worker: 2}")),
        (INI, "kubespray", ("{control-plane: 1, worker: 2}",)),
        ("kube_version: 1.37.2\nkube_pods_subnet: 10.233.64.0/18\n", "kubespray", ("{pods: 10.233.64.0/18}",)),
        ("cluster-init: true\ncluster-cidr: 10.42.0.0/16\n", "k3s or RKE2", ("{pods: 10.42.0.0/16}",)),
        (CLUSTER_API_WITH_A_SECRET, "Cluster API (Cluster)", ("name: c1",)),
        (KUBELET_FIRST, "kubeadm (InitConfiguration)", ("name: yes",)),
        (HOSTNAME_FIRST, "Talos (HostnameConfig)", ("machines[].name", "name: t1")),
        ("machine: {network: {hostname: a}}\n", "Talos", ("machines[].name",)),
        ("cluster: {network: {podSubnets: [10.244.0.0/16]}}\n", "Talos", ("{pods: 10.244.0.0/16}",)),
        ("bin_dir: /usr/local/bin\n", "kubespray (group_vars)", ("name: my-platform",)),
        ("loadbalancer_apiserver_port: 8443\n", "kubespray (group_vars)", ("name: my-platform",)),
        (GROUPS, "kubespray (an inventory)", ("{control-plane: 1}", "{worker: 2}")),
        ("[kube_node] ; those\nb\n", "kubespray", ("{worker: 1}",)),
        ("[all]\na\n  [kube_node]\nb\n", "kubespray", ("{worker: 1}",)),
        ("[k8s_cluster:children]\nkube_node\n", "kubespray", ("its groups are `machines`",)),
        ("[kube_control_plane]\na\nb\n", "kubespray", ("its groups are `machines` here",)),
        ("nodes: [{role: control-plane}]\n", "kind", ("{control-plane: 1, worker: 0}",)),
        ("kind: Cluster\nname: k1\nnodes: [{role: control-plane}]\n", "kind", ("name: k1",)),
        (K0SCTL.replace("apiVersion: k0sctl.k0sproject.io/v1beta1\n", ""), "k0sctl", ("name: my-k0s",)),
        ("kind: ClusterConfig\nspec: {network: {podCIDR: 10.200.0.0/16}}\n", "k0s", ("{pods: 10.200.0.0/16}",)),
        (RKE, "RKE", ("name: r1", "{control-plane: 1, worker: 1}", "{services: 10.43.0.0/16}")),
        (TALHELPER, "talhelper", ("name: home", "{version: 1.37.2}", "{control-plane: 1, worker: 1}")),
        (KUBEONE, "KubeOne", ("name: k1", "{version: 1.37.2}")),
        (KUBEKEY, "KubeKey", ("name: sample", "{pods: 10.233.64.0/18}")),
        ("apiVersion: apps/v1\nkind: Deployment\n", "Kubernetes (Deployment)", ("name: my-platform",)),
    ],
)
def test_a_file_of_a_peer_is_recognised(text: str, name: str, stanzas: tuple[str, ...]) -> None:
    problems = problems_of(text)
    assert any(f"a file for {name}" in message for message, _ in problems), problems
    said = " ".join(instead for _, instead in problems)
    assert [stanza for stanza in stanzas if stanza not in said] == []


def test_what_the_rules_would_refuse_of_a_peer_is_not_offered() -> None:
    """Two control planes, pods where our LAN is, Services where those pods are: each has its place, none its value."""
    text = "kind: Cluster\napiVersion: kind.x-k8s.io/v1alpha4\nnodes: [{role: control-plane}, {role: control-plane}]\n"
    problems = problems_of(text + "networking: {podSubnet: 10.80.0.0/16, serviceSubnet: 10.96.0.0/16}\n")
    said = dict(problems)
    assert said["this is `machines` here"] == "see `groundplane explain machines`"
    assert said["this is `kubernetes.pods` here"] == "see `groundplane explain kubernetes.pods`"
    assert said["this is `kubernetes.services` here"] == "write `kubernetes: {services: 10.96.0.0/16}`"


@pytest.mark.parametrize(
    "text",
    [
        "name: lab\nnodes: [{name: a, role: worker}]\n",
        "name: lab\nmachine: {name: a, type: worker}\n",
        "cluster: {name: lab, network: {lan: 10.80.0.0/24}}\n",
        "name: lab\nversion: 1.37.2\nmachine: {worker: 2}\n",
        "name: lab\nservices: {etcd: {image: etcd}}\n",
    ],
)
def test_one_of_ours_with_wrong_keys_is_nobody_elses(text: str) -> None:
    assert not [message for message, _ in problems_of(text) if "this is a file for" in message]
