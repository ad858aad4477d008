"""What Steps of the cluster are called by those that come after them, in whatever room."""

from __future__ import annotations

from groundplane.topology.model import Machine

INIT = "kubeadm-init"


def join_name(machine: Machine) -> str:
    """The name of the step that makes ``machine`` a node."""
    return f"kubeadm-join:{machine.name}"
