"""How we know the cluster is well: its members agree, its nodes and pods run, it is closed to strangers.

Each check asks real parts for what they do, not for what they were told to do.
"""

from __future__ import annotations

from groundplane.components.cluster import paths
from groundplane.components.cluster.answers import Answer, answers_of, bound
from groundplane.components.cluster.leftovers import none_left
from groundplane.components.cluster.names import API
from groundplane.components.cluster.shared import Shared
from groundplane.components.coredns import checks as coredns
from groundplane.components.etcd import checks as etcd
from groundplane.components.kubeadm import origins, probes
from groundplane.components.kubeadm.status import SOON
from groundplane.components.kubelet import checks as kubelet
from groundplane.components.pod_network import POD_NETWORK
from groundplane.components.podnet import checks as podnet
from groundplane.components.podnet.look import Look, look
from groundplane.state.step import Reach
from groundplane.topology.model import Topology
from groundplane.verify.check import RECOVERY, Check
from groundplane.verify.condition import NotYet


def checks(topology: Topology) -> tuple[Check, ...]:
    """The cluster's checks. Those that need pods share one look, those that need a stranger one round of questions."""
    pods: Shared[Look] = Shared(lambda reach: look(reach, topology), running_too=True)
    strangers: Shared[tuple[Answer, ...]] = Shared(lambda reach: probes.as_stranger(reach, topology), running_too=True)

    async def answers(reach: Reach) -> tuple[Answer, ...]:
        return (await pods(reach)).answers

    return (
        *etcd.checks(topology),
        *_state_checks(topology),
        *_safety_checks(topology, pods, strangers),
        *podnet.checks(topology, POD_NETWORK, answers),
        *coredns.checks(topology, answers),
    )


def _state_checks(topology: Topology) -> tuple[Check, ...]:
    return (
        Check(
            API,
            "the API answers a control plane through the floating address",
            RECOVERY,
            "`groundplane verify floating-address haproxy-backends` looks at the way there; on a control plane, "
            "`journalctl -u kubelet` and /var/log/pods/kube-system_kube-apiserver-* tell why it has no API server",
            bound(probes.api, topology),
            needs=("etcd",),
        ),
        Check(
            "nodes",
            f"every node is ready and runs Kubernetes {topology.software.kubernetes}",
            RECOVERY,
            "`kubectl describe node` tells why one is not; `groundplane up` joins one that is missing",
            bound(probes.nodes, topology),
            needs=(API,),
        ),
        Check(
            "control-plane-pods",
            "etcd, API server, controller manager and scheduler run on every control plane; pods are led there",
            RECOVERY,
            "`journalctl -u kubelet` on that control plane, and /var/log/pods there",
            bound(probes.static_pods, topology),
            needs=(API,),
        ),
        Check(
            "cluster-addons",
            "kube-proxy runs on every node and CoreDNS is available",
            RECOVERY,
            "`kubectl -n kube-system get pods -o wide` shows what is missing; `groundplane up` puts it back",
            bound(probes.addons, topology),
            needs=(API,),
        ),
        Check(
            "images",
            "no node has an image from outside the platform's registry, and the platform runs its bundle's alone",
            RECOVERY,
            "`ctr -n k8s.io images rm NAME` on that node takes away what isn't ours; where a pod of the platform runs "
            "another image, somebody changed it: `groundplane up` puts it back",
            bound(origins.images, topology),
            needs=(API,),
        ),
        Check(
            "leftovers",
            "no API or webhook is without its server, and what was removed ends",
            RECOVERY,
            "`kubectl get namespace NAME -o yaml` shows what is left in it",
            bound(none_left, topology),
            needs=(API,),
        ),
        Check(
            "certificates",
            f"no certificate ends within {SOON.days} days",
            RECOVERY,
            "`groundplane apply` renews those of nodes and control planes",
            bound(probes.certificates, topology),
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
            answers_of(strangers, "api", "API servers answer strangers with their health alone"),
            needs=(API,),
        ),
        *kubelet.checks(topology, strangers),
        Check(
            "encryption",
            "Secrets are encrypted in etcd",
            RECOVERY,
            f"{paths.API_CONFIG}/encryption.yaml must be on every control plane; `groundplane up` puts it back",
            encrypted,
            needs=(podnet.PODS,),
        ),
        Check(
            "audit",
            "every API server keeps an audit log",
            RECOVERY,
            "see the API server's pod: its audit log folder must be writable and its disk not full",
            bound(probes.audit, topology),
        ),
        Check(
            "join-tokens",
            "no credentials of a join are left over",
            RECOVERY,
            "`kubeadm token list` on a control plane shows them, `kubeadm token delete` removes them",
            bound(probes.tokens, topology),
            needs=(API,),
        ),
    )
