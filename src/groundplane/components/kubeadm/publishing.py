"""What the cluster offers behind the floating address: its API servers."""

from __future__ import annotations

from groundplane.components.base import Health, Published
from groundplane.topology.model import Topology


def publishes(topology: Topology) -> tuple[Published, ...]:
    """The API. ``readyz`` is what the API server itself says of being fit for clients, and strangers may ask for it.

    One that is told to stop says so, and serves on for a while (``shutdown-delay-duration``).
    """
    health = Health(
        path="/readyz",
        host=topology.api_host,
        authority="kubernetes-ca",
        certificate=topology.secrets.kubernetes_ca.certificate,
        stopping="shutdown",
    )
    return (
        Published(
            name="api",
            port=topology.api_port,
            backend="kube-apiserver",
            servers=topology.control_planes,
            health=health,
        ),
    )
