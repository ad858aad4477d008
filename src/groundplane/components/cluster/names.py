"""What Steps and checks of the cluster are called by those that stand on them, in whatever room."""

from __future__ import annotations

from groundplane.topology.model import Machine

INIT = "kubeadm-init"
API = "api"
"""The check without which nothing can be asked of the cluster."""
ETCD = "etcd"
API_SERVER = "kube-apiserver"
STATIC_PODS = (ETCD, API_SERVER, "kube-controller-manager", "kube-scheduler")
"""What makes a control plane, by the names of its pods' manifests."""


def certificates_name(machine: Machine) -> str:
    """The name of the step after which what kubeadm made of certificates on a control plane is good."""
    return f"certificates:{machine.name}"


def join_name(machine: Machine) -> str:
    """The name of the step that makes ``machine`` a node."""
    return f"kubeadm-join:{machine.name}"


def prepare_name(machine: Machine) -> str:
    """The name of the step that makes what ``machine`` needs to join as a control plane."""
    return f"prepare:{machine.name}"


def etcd_name(machine: Machine) -> str:
    """The name of the step that makes ``machine`` a voting member of etcd."""
    return f"etcd-join:{machine.name}"


def control_plane_name(machine: Machine) -> str:
    """The name of the step after which ``machine`` is a whole control plane."""
    return f"control-plane:{machine.name}"


def ready_name(machine: Machine) -> str:
    """The name of the step that has ``machine`` be a ready node."""
    return f"ready:{machine.name}"
