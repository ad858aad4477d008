"""What kubeadm and the kubelet add to a node.

Control planes get the cluster's authorities with their first boot: any of them may begin the cluster, no key is
ever uploaded, and the balancers can verify the API servers before the first one runs. Workers get none of them.
"""

from __future__ import annotations

from groundplane.components.kubeadm import config, paths
from groundplane.spec.model import Role
from groundplane.state.model import (
    Artifact,
    DataFolder,
    Directory,
    File,
    Fragment,
    Package,
    Resource,
    Sysctl,
    Unit,
)
from groundplane.topology.model import KeyPair, Machine, Topology

KUBELET_UNIT = "/etc/systemd/system/kubelet.service"
KUBELET_DROP_IN = "/etc/systemd/system/kubelet.service.d/10-kubeadm.conf"
KUBELET_DEFAULTS = "/etc/default/kubelet"

# What the kubelet would set by itself; with protectKernelDefaults it insists on finding them instead.
KERNEL_DEFAULTS = (
    ("kernel.keys.root_maxbytes", "25000000"),
    ("kernel.keys.root_maxkeys", "1000000"),
    ("kernel.panic", "10"),
    ("kernel.panic_on_oops", "1"),
    ("vm.overcommit_memory", "1"),
    ("vm.panic_on_oom", "0"),
)
# conntrack: kube-proxy's clean-up of stale connections; the rest: volumes, port forwarding, kubeadm's preflight.
PACKAGES = ("conntrack", "ethtool", "iproute2", "iptables", "mount", "nftables", "openssl", "socat", "util-linux")


def fragment(topology: Topology, machine: Machine) -> Fragment | None:
    """The kubelet for every node, the authorities and the API server's files for control planes."""
    if not machine.is_node:
        return None
    resources: list[Resource] = [
        *(Artifact(name, f"/usr/local/bin/{name}") for name in ("kubeadm", "kubectl", "kubelet")),
        *(Package(name) for name in PACKAGES),
        DataFolder("/var/lib/kubelet", mode=0o750),
        Directory("/etc/kubernetes", mode=0o755),
        Directory(paths.MANIFESTS, mode=0o700),
        File(KUBELET_UNIT, config.kubelet_unit(), mode=0o600),
        File(KUBELET_DROP_IN, config.kubelet_drop_in(), mode=0o600),
        File(KUBELET_DEFAULTS, f"KUBELET_EXTRA_ARGS=--node-ip={machine.address}\n".encode()),
        File(paths.JOIN, config.join_configuration(topology, machine), mode=0o600),
        # kubeadm starts it, once there is something to run.
        Unit("kubelet.service", active=None, reads=(KUBELET_UNIT, KUBELET_DROP_IN, KUBELET_DEFAULTS)),
    ]
    if topology.traits.own_kernel:
        resources += [Sysctl(key, value) for key, value in KERNEL_DEFAULTS]
    if machine.role is Role.CONTROL_PLANE:
        resources += _control_plane(topology, machine)
    return Fragment("kubeadm", tuple(resources))


def _control_plane(topology: Topology, machine: Machine) -> list[Resource]:
    secrets = topology.secrets
    return [
        Artifact("etcdctl", "/usr/local/bin/etcdctl"),
        DataFolder(paths.ETCD_DATA, mode=0o700, enough=paths.ETCD_ENOUGH),
        Directory(paths.PKI, mode=0o755),
        Directory(paths.API_CONFIG, mode=0o700),
        Directory("/var/log/kubernetes/audit", mode=0o700),
        *_authority("ca", secrets.kubernetes_ca),
        *_authority("front-proxy-ca", secrets.front_proxy_ca),
        *_authority("etcd/ca", secrets.etcd_ca),
        File(f"{paths.PKI}/sa.pub", secrets.service_account.certificate, mode=0o600),
        File(f"{paths.PKI}/sa.key", secrets.service_account.key.reveal(), mode=0o600, secret=True),
        File(f"{paths.API_CONFIG}/audit-policy.yaml", config.audit_policy(), mode=0o600),
        File(f"{paths.API_CONFIG}/authentication.yaml", config.authentication(), mode=0o600),
        File(f"{paths.API_CONFIG}/encryption.yaml", config.encryption(topology), mode=0o600, secret=True),
        File(paths.INIT, config.init_configuration(topology, machine), mode=0o600),
    ]


def _authority(name: str, pair: KeyPair) -> tuple[File, File]:
    return (
        File(f"{paths.PKI}/{name}.crt", pair.certificate, mode=0o644),
        File(f"{paths.PKI}/{name}.key", pair.key.reveal(), mode=0o600, secret=True),
    )
