"""Where things lie on a node: kubeadm's own default paths, and ours below /etc/groundplane and /run/groundplane."""

from __future__ import annotations

PKI = "/etc/kubernetes/pki"
ADMIN = "/etc/kubernetes/admin.conf"
SUPER_ADMIN = "/etc/kubernetes/super-admin.conf"
KUBELET = "/etc/kubernetes/kubelet.conf"
BOOTSTRAP = "/etc/kubernetes/bootstrap-kubelet.conf"
MANIFESTS = "/etc/kubernetes/manifests"
API_CONFIG = "/etc/kubernetes/groundplane"
CLIENT = "/var/lib/kubelet/pki/kubelet-client-current.pem"
SERVING = "/var/lib/kubelet/pki/kubelet-server-current.pem"
KUBELET_CONFIG = "/var/lib/kubelet/config.yaml"
ETCD_LEAVES = tuple(f"{PKI}/etcd/{name}.{kind}" for name in ("server", "peer") for kind in ("crt", "key"))
ETCD_DATA = "/var/lib/etcd"
ETCD_QUOTA = 4 << 30
ETCD_ENOUGH = 2 * ETCD_QUOTA + (2 << 30)  # its database, as much again for a copy under way, its log and its snapshots

INIT = "/etc/groundplane/kubeadm/init.yaml"
JOIN = "/etc/groundplane/kubeadm/join.yaml"
PATCHES = "/etc/groundplane/kubeadm/patches"
KEPT = "/var/lib/groundplane/static-pods"
RUN = "/run/groundplane"
DISCOVERY = f"{RUN}/discovery.conf"
LOG = f"{RUN}/kubeadm.log"
UNIT = "groundplane-kubeadm"
PREPARING = f"{UNIT}-prepare"
PREPARED = f"{RUN}/prepared"

CRI_SOCKET = "unix:///run/containerd/containerd.sock"
CONTROL_PLANE_LABEL = "node-role.kubernetes.io/control-plane"
WORKER_LABEL = "node-role.kubernetes.io/worker"
TOKEN_DESCRIPTION = "groundplane"

# What kubeadm or the kubelet lays on a machine, and a machine where neither ever began has none of.
TRACES = (
    KUBELET,
    KUBELET_CONFIG,
    f"{PKI}/apiserver*",
    f"{PKI}/front-proxy-client.*",
    f"{PKI}/etcd/server.*",
    f"{PKI}/etcd/peer.*",
)

# Ours to make again at any time from the authorities; the authorities themselves and etcd's data are not among them.
DERIVED = (
    PREPARED,
    f"{PKI}/apiserver*",
    f"{PKI}/front-proxy-client.*",
    f"{PKI}/etcd/server.*",
    f"{PKI}/etcd/peer.*",
    f"{PKI}/etcd/healthcheck-client.*",
    "/etc/kubernetes/*.conf",
    f"{MANIFESTS}/*",
)
