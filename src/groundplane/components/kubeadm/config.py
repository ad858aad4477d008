"""What kubeadm is told: one configuration per machine, safe by default in the sense of the CIS Kubernetes Benchmark.

Field names are those of kubeadm.k8s.io/v1beta4 and kubeproxy.config.k8s.io/v1alpha1. The kubelets' configuration is in
it for whoever reads what kubeadm keeps in the cluster; they themselves read a file of their own.
"""

from __future__ import annotations

from base64 import b64encode
from hashlib import sha256

from groundplane.components.base import templates
from groundplane.components.cluster import paths
from groundplane.components.cluster.names import STATIC_PODS
from groundplane.components.etcd.fragment import ETCD_UID
from groundplane.components.kubelet.configuration import CIPHERS, NODE_GRACE, NODE_LOOK, configuration
from groundplane.components.pod_network import POD_NETWORK
from groundplane.spec.roles import Role
from groundplane.topology.model import Machine, Topology

Arguments = tuple[tuple[str, str], ...]

SERVES_ON = 5
"""Seconds for which an API server that is told to stop goes on, when it has taken itself out of the Service
``kubernetes``. kube-proxy follows within one or two (its minSyncPeriod is one), later on a busy computer."""
LETS_GO = 4
"""Seconds over which it ends its watches then, a few at a time, so that those don't come to the others all at once."""
STOPS = SERVES_ON + LETS_GO + 3
"""Seconds after which it has ended."""
MINIMUM_CPUS = 2  # kubeadm's own, for a control plane
MINIMUM_MEMORY = 1700 * 1024 * 1024

_TEMPLATES = templates(__file__)
_TLS: Arguments = (("tls-min-version", "VersionTLS12"), ("tls-cipher-suites", ",".join(CIPHERS)))


def init_configuration(topology: Topology, machine: Machine) -> bytes:
    """InitConfiguration and all cluster-wide kinds, for a control plane that begins the cluster."""
    return _render("init.yaml.j2", topology, machine)


def join_configuration(topology: Topology, machine: Machine) -> bytes:
    """JoinConfiguration of a control plane or a worker."""
    return _render("join.yaml.j2", topology, machine)


def audit_policy() -> bytes:
    return _TEMPLATES.get_template("audit-policy.yaml.j2").render(pod_network=POD_NETWORK.user).encode()


def authentication() -> bytes:
    return _TEMPLATES.get_template("authentication.yaml.j2").render().encode()


def encryption(topology: Topology) -> bytes:
    """EncryptionConfiguration. The key's name comes from the key, so that a new key is a new name."""
    key = topology.secrets.encryption_key.reveal()
    name = "key-" + sha256(b"groundplane encryption key name\0" + key).hexdigest()[:8]
    return _TEMPLATES.get_template("encryption.yaml.j2").render(key_name=name, key=b64encode(key).decode()).encode()


def apiserver_arguments() -> Arguments:
    """The API server's arguments beyond kubeadm's own.

    ``anonymous-auth`` is not among them: the authentication file says it, and both together are refused.
    ``shutdown-delay-duration``: pods' rules lead to one that stops until every node has heard of it. Then it waits for
    its watches, which end only where ``shutdown-watch-termination-grace-period`` has them end: without, its kubelet
    would kill it half a minute later, and be without an API server for so long that the cluster calls it lost.
    ``goaway-chance`` closes one HTTP/2 connection in a thousand requests, so that clients which found one
    server behind the floating address spread again over all of them.
    """
    return (
        ("audit-log-path", "/var/log/kubernetes/audit/audit.log"),
        ("audit-log-maxage", "30"),
        ("audit-log-maxbackup", "10"),
        ("audit-log-maxsize", "100"),
        ("audit-policy-file", f"{paths.API_CONFIG}/audit-policy.yaml"),
        ("authentication-config", f"{paths.API_CONFIG}/authentication.yaml"),
        ("encryption-provider-config", f"{paths.API_CONFIG}/encryption.yaml"),
        ("encryption-provider-config-automatic-reload", "true"),
        ("enable-admission-plugins", "NodeRestriction,DenyServiceExternalIPs"),
        ("goaway-chance", "0.001"),
        ("kubelet-certificate-authority", f"{paths.PKI}/ca.crt"),
        ("profiling", "false"),
        ("request-timeout", "300s"),
        ("service-account-extend-token-expiration", "false"),
        ("service-account-lookup", "true"),
        ("shutdown-delay-duration", f"{SERVES_ON}s"),
        ("shutdown-watch-termination-grace-period", f"{LETS_GO}s"),
        *_TLS,
    )


def controller_manager_arguments() -> Arguments:
    return (
        ("bind-address", "127.0.0.1"),
        ("node-monitor-grace-period", f"{NODE_GRACE}s"),
        ("node-monitor-period", f"{NODE_LOOK}s"),
        ("profiling", "false"),
        ("terminated-pod-gc-threshold", "1000"),
        ("use-service-account-credentials", "true"),
        *_TLS,
    )


def scheduler_arguments() -> Arguments:
    return (("bind-address", "127.0.0.1"), ("profiling", "false"), *_TLS)


def etcd_arguments(topology: Topology) -> Arguments:
    """etcd's arguments beyond kubeadm's own.

    Its defaults (100 ms heartbeat, 1 s election) suit a machine of its own. Where machines share a kernel they
    share its disks too, and one slow fsync must not cost the leader its office: half as much again. Longer
    would only delay the change after a real death, because a member that wrongly suspects the leader can't
    unseat it (pre-vote is on). The API server compacts; periodic compaction is for the day it does not.
    """
    heartbeat, election = (100, 1000) if topology.traits.own_kernel else (150, 1500)
    return (
        ("auto-compaction-mode", "periodic"),
        ("auto-compaction-retention", "8h"),
        ("cipher-suites", ",".join(CIPHERS)),
        ("election-timeout", str(election)),
        ("heartbeat-interval", str(heartbeat)),
        ("quota-backend-bytes", str(paths.ETCD_QUOTA)),
        ("tls-min-version", "TLS1.2"),
    )


def api_names(topology: Topology) -> tuple[str, ...]:
    """What every API server's certificate is valid for. kubeadm adds each machine's own name and address, so
    these stay the same when a control plane is added."""
    return (topology.api_host, str(topology.lan.floating), "localhost", "127.0.0.1")


def ignored_checks(topology: Topology, machine: Machine) -> tuple[str, ...]:
    """kubeadm's preflight checks that don't apply to this machine.

    Size is the cluster file's decision, and in a container kubeadm would measure the host's anyway; so it
    would with swap, cgroups and the kernel's configuration (``SystemVerification``).
    """
    ignored = []
    if machine.has(Role.CONTROL_PLANE) and machine.memory < MINIMUM_MEMORY:
        ignored.append("Mem")
    if machine.has(Role.CONTROL_PLANE) and (machine.cpus < MINIMUM_CPUS or not topology.traits.own_kernel):
        ignored.append("NumCPU")
    if shares_port(machine):
        ignored.append(f"Port-{topology.api_port}")  # HAProxy has it, at the floating address
    if not topology.traits.own_kernel:
        ignored += ["Swap", "SystemVerification"]
    return tuple(ignored)


def taints(topology: Topology, machine: Machine) -> tuple[str, ...] | None:
    """Keys of the NoSchedule taints a node registers with; None: kubeadm's default for its kind.

    A control plane that is a worker too runs ordinary pods. Without workers all control planes do.
    """
    if machine.has(Role.CONTROL_PLANE):
        return (paths.CONTROL_PLANE_LABEL,) if topology.workers and not machine.has(Role.WORKER) else ()
    return None


def shares_port(machine: Machine) -> bool:
    """Whether an API server and HAProxy share the machine, and the API's port on it: then each has but one address,
    the API server the machine's, HAProxy the floating one."""
    return machine.has(Role.CONTROL_PLANE) and machine.has(Role.BALANCER)


def patches(machine: Machine) -> dict[str, bytes]:
    """What differs in the static pods from what kubeadm would lay, by the file's name: its targets' names, and how they
    are merged. The configuration itself is the whole cluster's and can't name one machine's address, nor a user.
    """
    # An API server reads its audit policy only when it starts: another one is another pod.
    values = {"user": ETCD_UID, "policy": sha256(audit_policy()).hexdigest()}
    found = {
        f"{name}+strategic.yaml": _TEMPLATES.get_template("static-pod.yaml.j2").render(name=name, **values)
        for name in STATIC_PODS
    }
    if shares_port(machine):
        found["kube-apiserver+json.json"] = _TEMPLATES.get_template("kube-apiserver.json.j2").render(
            address=machine.address
        )
    return {name: text.encode() for name, text in sorted(found.items())}


def _render(name: str, topology: Topology, machine: Machine) -> bytes:
    network = topology.spec.kubernetes
    text = _TEMPLATES.get_template(name).render(
        name=topology.name,
        software=topology.software,
        traits=topology.traits,
        machine=machine,
        control_plane=machine.has(Role.CONTROL_PLANE),
        api_host=topology.api_host,
        api_port=topology.api_port,
        patches=paths.PATCHES if machine.has(Role.CONTROL_PLANE) else "",
        api_config=paths.API_CONFIG,
        cri_socket=paths.CRI_SOCKET,
        discovery=paths.ADMIN if machine.has(Role.CONTROL_PLANE) else paths.DISCOVERY,
        token_description=paths.TOKEN_DESCRIPTION,
        pods=network.pods,
        services=network.services,
        sans=api_names(topology),
        kubelet=configuration(topology).decode(),
        apiserver=apiserver_arguments(),
        controller_manager=controller_manager_arguments(),
        scheduler=scheduler_arguments(),
        etcd=etcd_arguments(topology),
        taints=taints(topology, machine),
        ignored=ignored_checks(topology, machine),
        arguments=_argument_lines,
    )
    return text.encode()


def _argument_lines(arguments: Arguments) -> str:
    """The list of name and value pairs as kubeadm's ``extraArgs`` has it, indented below it."""
    return "\n".join(f'    - name: {name}\n      value: "{value}"' for name, value in arguments)
