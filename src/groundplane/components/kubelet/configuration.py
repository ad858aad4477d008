"""How kubelets are configured: all of KubeletConfiguration (kubelet.config.k8s.io/v1beta1), in a file of ours."""

from __future__ import annotations

from typing import Final

from groundplane.components.base import templates
from groundplane.components.cluster import paths
from groundplane.spec.roles import MIB
from groundplane.topology.model import Topology

# Forward secrecy and authenticated encryption only. TLS 1.3 suites aren't configurable in Go and always on.
CIPHERS = (
    "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256",
    "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384",
    "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256",
    "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256",
    "TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384",
    "TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256",
)
# How soon a node that is gone is known to be: until then a share of what Services are asked goes to its pods. A kubelet
# renews its lease every fourth of its duration (pkg/kubelet/kubelet.go); the controller manager calls a node not ready
# whose lease it has not seen renewed for the grace period, and looks once a second. So a death is known after 13 to 17
# seconds, where Kubernetes' own values (10 s, 50 s, every 5 s) take 40 to 60.
#
# Less would take the pods of nodes that are well out of their Services, all of them at once. A kubelet that is refused
# tries again after 0.2, 0.6, 1.4, 3, 6.2 and 12.6 seconds (k8s.io/component-helpers/apimachinery/lease): the grace
# period is more than the last of these and one interval, so that no outage of the API of less than 12 seconds makes a
# node not ready. One whose requests hang gives up after as long as its status may take, closes its connections when
# that happens twice (`OnHeartbeatFailure`), and begins anew after ten seconds. The 50 seconds are for a connection to
# an API server that is gone, which HTTP/2 finds after 45 (says --node-monitor-grace-period); here HAProxy closes it
# after a second, or the balancer that takes over. A machine that stands still for longer is taken for dead: its pods
# leave their Services until it goes on, and nothing is moved before five more minutes (`tolerationSeconds`).
#
# The controller manager's own lease stays at 15 seconds: one that can't renew it for ten ends itself.
# What it costs: half a small write to etcd a second for each node; at 1,000 nodes take the longer values again
# (kubespray's docs/kubernetes-reliability.md weighs the same).
NODE_LEASE = 8
NODE_STATUS = 4
NODE_GRACE = 15
NODE_LOOK = 1
# What a node's own programs take, and pods never get. containerd, its shims, the kubelet, systemd, and what the kernel
# needs for them: seen to be 100 MiB on an idle worker and 150 on a control plane.
RESERVED_CPU = "100m"
RESERVED_MEMORY = 256 * MIB
_DNS: Final = 10
"""Which address of the Services CoreDNS has: kubeadm's choice."""
_TEMPLATES = templates(__file__)


def configuration(topology: Topology) -> bytes:
    """All of it: kubeadm would add the cluster's names, and where static pods lie."""
    return (
        _TEMPLATES.get_template("config.yaml.j2")
        .render(
            traits=topology.traits,
            ciphers=CIPHERS,
            reserved_cpu=RESERVED_CPU,
            reserved_memory=reserved(),
            lease=NODE_LEASE,
            status=NODE_STATUS,
            cri_socket=paths.CRI_SOCKET,
            manifests=paths.MANIFESTS,
            dns=topology.spec.kubernetes.services[_DNS],
        )
        .encode()
    )


def reserved(beside: int = 0) -> str:
    """The memory that pods never get, as Kubernetes writes it."""
    return f"{(RESERVED_MEMORY + beside) // MIB}Mi"
