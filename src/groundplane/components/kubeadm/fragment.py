"""What kubeadm adds to a node, with the kubelet's part and etcd's.

Control planes get the cluster's authorities with their first boot: any of them may begin the cluster, no key is
ever uploaded, and the balancers can verify the API servers before the first one runs. Workers get none of them.
"""

from __future__ import annotations

from groundplane.components.base import templates
from groundplane.components.cluster import paths
from groundplane.components.etcd import fragment as etcd
from groundplane.components.kubeadm import config
from groundplane.components.kubelet import fragment as kubelet
from groundplane.spec.roles import Role
from groundplane.state.model import Artifact, Directory, File, Fragment, Package, Resource, Unit
from groundplane.topology.model import KeyPair, Machine, Topology

# conntrack: kube-proxy's clean-up of stale connections; the rest: volumes, port forwarding, kubeadm's preflight.
PACKAGES = ("conntrack", "ethtool", "iproute2", "iptables", "mount", "nftables", "openssl", "socat", "util-linux")

ENDING = "groundplane-api-server.service"
"""The unit that has the API server end before etcd where the machine is switched off."""


def fragment(topology: Topology, machine: Machine) -> Fragment | None:
    """The kubelet for every node, the authorities and the API server's files for control planes."""
    if not machine.is_node:
        return None
    resources: list[Resource] = [
        *(Artifact(name, f"/usr/local/bin/{name}") for name in ("kubeadm", "kubectl")),
        *(Package(name) for name in PACKAGES),
        Directory("/etc/kubernetes", mode=0o755),
        Directory(paths.MANIFESTS, mode=0o700),
        File(paths.JOIN, config.join_configuration(topology, machine), mode=0o600),
        *kubelet.resources(topology, machine),
    ]
    if machine.has(Role.CONTROL_PLANE):
        resources += _control_plane(topology, machine)
    return Fragment("kubeadm", tuple(resources))


def _control_plane(topology: Topology, machine: Machine) -> list[Resource]:
    secrets = topology.secrets
    ending = f"/etc/systemd/system/{ENDING}"
    return [
        File(ending, templates(__file__).get_template("api-server.service.j2").render(seconds=config.STOPS).encode()),
        Unit(ENDING),
        *etcd.resources(),
        Directory(paths.PKI, mode=0o755),
        Directory(f"{paths.PKI}/etcd", mode=0o755),
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
        *(File(f"{paths.PATCHES}/{name}", content, mode=0o600) for name, content in config.patches(machine).items()),
    ]


def _authority(name: str, pair: KeyPair) -> tuple[File, File]:
    return (
        File(f"{paths.PKI}/{name}.crt", pair.certificate, mode=0o644),
        File(f"{paths.PKI}/{name}.key", pair.key.reveal(), mode=0o600, secret=True),
    )
