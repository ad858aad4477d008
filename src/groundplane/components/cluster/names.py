"""What Steps and checks of the cluster are called by those that stand on them, in whatever room."""

from __future__ import annotations

from groundplane.topology.model import Machine

INIT = "kubeadm-init"
API = "api"
"""The check without which nothing can be asked of the cluster."""


def certificates_name(machine: Machine) -> str:
    """The name of the step after which what kubeadm made of certificates on a control plane is good."""
    return f"certificates:{machine.name}"


def join_name(machine: Machine) -> str:
    """The name of the step that makes ``machine`` a node."""
    return f"kubeadm-join:{machine.name}"


def ready_name(machine: Machine) -> str:
    """The name of the step that has ``machine`` be a ready node."""
    return f"ready:{machine.name}"
