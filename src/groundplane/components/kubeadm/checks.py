"""How we know the cluster is well: its members agree, its nodes and pods run, it is closed to strangers.

Each check asks real parts for what they do, not for what they were told to do.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from groundplane.components.kubeadm import origins, paths, podnet, probes
from groundplane.components.kubeadm.podnet import Answer, Look
from groundplane.components.kubeadm.shared import Shared
from groundplane.errors import StepError
from groundplane.state.step import Reach
from groundplane.topology.model import Topology
from groundplane.verify.check import RECOVERY, Check
from groundplane.verify.condition import NotYet

Probe = Callable[[Reach], Awaitable[str]]


def checks(topology: Topology) -> tuple[Check, ...]:
    """The cluster's checks. Those that need pods share one look, those that need a stranger one round of questions."""
    pods: Shared[Look] = Shared(lambda reach: podnet.look(reach, topology), running_too=True)
    strangers: Shared[tuple[Answer, ...]] = Shared(lambda reach: probes.as_stranger(reach, topology), running_too=True)
    return (
        *_state_checks(topology),
        *_safety_checks(topology, pods, strangers),
        *_network_checks(topology, pods),
    )


def _state_checks(topology: Topology) -> tuple[Check, ...]:
    return (
        Check(
            "etcd",
            "every etcd member is healthy, votes and agrees with the others",
            RECOVERY,
            "`groundplane status` shows the members; see /var/log/pods/kube-system_etcd-* on the one that differs",
            _bound(probes.etcd, topology),
        ),
        Check(
            "nodes",
            f"every node is ready and runs Kubernetes {topology.software.kubernetes}",
            RECOVERY,
            "`kubectl describe node` tells why one is not; `groundplane up` joins one that is missing",
            _bound(probes.nodes, topology),
        ),
        Check(
            "control-plane-pods",
            "etcd, API server, controller manager and scheduler run on every control plane",
            RECOVERY,
            "`journalctl -u kubelet` on that control plane, and /var/log/pods there",
            _bound(probes.static_pods, topology),
        ),
        Check(
            "cluster-addons",
            "kube-proxy runs on every node and CoreDNS is available",
            RECOVERY,
            "`kubectl -n kube-system get pods -o wide` shows what is missing; `groundplane up` puts it back",
            _bound(probes.addons, topology),
        ),
        Check(
            "images",
            "no node has an image from outside the platform's registry, and the platform runs its bundle's alone",
            RECOVERY,
            "`ctr -n k8s.io images rm NAME` on that node takes away what isn't ours; where a pod of the platform runs "
            "another image, somebody changed it: `groundplane up` puts it back",
            _bound(origins.images, topology),
        ),
        Check(
            "certificates",
            f"no certificate ends within {probes.RENEW_BEFORE.days} days",
            RECOVERY,
            "`kubeadm certs renew all` on that control plane renews them, and restarting its static pods takes them up",
            _bound(probes.certificates, topology),
        ),
    )


def _safety_checks(topology: Topology, pods: Shared[Look], strangers: Shared[tuple[Answer, ...]]) -> tuple[Check, ...]:
    async def encrypted(reach: Reach) -> str:
        if not (await pods(reach)).encrypted:
            raise NotYet("a Secret made just now isn't encrypted in etcd")
        return "a Secret made just now lies encrypted in etcd"

    return (
        Check(
            "anonymous",
            "strangers may ask the API servers for their health, and nothing else",
            RECOVERY,
            f"{paths.API_CONFIG}/authentication.yaml says who may; `groundplane up` puts it back",
            _answers_of(strangers, "api", "API servers answer strangers with their health alone"),
        ),
        Check(
            "kubelet-certificates",
            "every kubelet presents a certificate of the cluster's authority and refuses strangers",
            RECOVERY,
            "`groundplane up` approves what a kubelet asked for; `kubectl get csr` shows it",
            _answers_of(strangers, "serving", "kubelets present signed certificates and refuse strangers"),
        ),
        Check(
            "kubelet-read-only-port",
            "no kubelet has its unprotected port open",
            RECOVERY,
            "somebody set readOnlyPort in the kubelet's configuration: set it to 0",
            _answers_of(strangers, "readonly", "kubelets have no unprotected port"),
        ),
        Check(
            "encryption",
            "Secrets are encrypted in etcd",
            RECOVERY,
            f"{paths.API_CONFIG}/encryption.yaml must be on every control plane; `groundplane up` puts it back",
            encrypted,
        ),
        Check(
            "audit",
            "every API server keeps an audit log",
            RECOVERY,
            "see the API server's pod: its audit log folder must be writable and its disk not full",
            _bound(probes.audit, topology),
        ),
        Check(
            "join-tokens",
            "no credentials of a join are left over",
            RECOVERY,
            "`kubeadm token list` on a control plane shows them, `kubeadm token delete` removes them",
            _bound(probes.tokens, topology),
        ),
    )


def _network_checks(topology: Topology, pods: Shared[Look]) -> tuple[Check, ...]:
    remedy = "`kubectl -n kube-flannel get pods -o wide` and `ip -d link show flannel.1` on the nodes named"
    service = "`kubectl -n kube-system logs ds/kube-proxy` and `nft list table ip kube-proxy` on the nodes named"
    count = len(topology.nodes)
    return (
        Check(
            "pod-network",
            "pods of every node reach the pods of every node",
            RECOVERY,
            remedy,
            _answers_of(pods, "pod", f"pods of {count} nodes reach each other", least=count * count),
        ),
        Check(
            "services-from-pods",
            "pods of every node reach a Service",
            RECOVERY,
            service,
            _answers_of(pods, "service", f"pods of {count} nodes reach a Service", least=count),
        ),
        Check(
            "services-from-nodes",
            "every node reaches a Service",
            RECOVERY,
            service,
            _answers_of(pods, "node", f"{count} nodes reach a Service", least=count),
        ),
        Check(
            "kube-proxy-mode",
            "kube-proxy uses nftables on every node",
            RECOVERY,
            "the ConfigMap kube-system/kube-proxy says which; delete kube-proxy's pods after changing it",
            _answers_of(pods, "proxy", f"kube-proxy uses nftables on {count} nodes", least=count),
        ),
        Check(
            "cluster-dns",
            "pods of every node resolve names through CoreDNS",
            RECOVERY,
            "`kubectl -n kube-system get pods -l k8s-app=kube-dns` and their logs",
            _answers_of(pods, "dns", f"pods of {count} nodes resolve names", least=count),
        ),
    )


def _bound(probe: Callable[[Reach, Topology], Awaitable[str]], topology: Topology) -> Probe:
    """``probe`` for ``topology``; what can't be asked is something not seen yet."""

    async def bound(reach: Reach) -> str:
        try:
            return await probe(reach, topology)
        except StepError as error:
            raise NotYet(f"{error.what} {error.detail}".strip()) from error

    return bound


def _answers_of(source: Shared[Look] | Shared[tuple[Answer, ...]], kind: str, well: str, *, least: int = 1) -> Probe:
    """A probe that holds when every answer of that kind is right, and there are at least so many."""

    async def probe(reach: Reach) -> str:
        found = await source(reach)
        answers = found.of(kind) if isinstance(found, Look) else tuple(entry for entry in found if entry.kind == kind)
        wrong = [f"{answer.node} → {answer.target}: {answer.problem}" for answer in answers if answer.problem]
        if wrong:
            raise NotYet("; ".join(wrong[:5]) + (f" and {len(wrong) - 5} more" if len(wrong) > 5 else ""))
        if len(answers) < least:
            raise NotYet(f"only {len(answers)} of {least} answers came")
        return well

    return probe
