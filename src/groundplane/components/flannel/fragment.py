"""What flannel needs on a node: CNI's plugins. The daemon is a pod, and lays CNI's configuration when it starts."""

from __future__ import annotations

from groundplane.state.model import Artifact, Directory, Fragment
from groundplane.topology.model import Machine, Topology

# Its own plugin delegates to bridge with host-local addresses; portmap serves hostPort, loopback every pod,
# bandwidth, firewall and tuning what users chain after them.
PLUGINS = ("bandwidth", "bridge", "firewall", "flannel", "host-local", "loopback", "portmap", "tuning")


def fragment(topology: Topology, machine: Machine) -> Fragment | None:
    if not machine.is_node:
        return None
    return Fragment(
        "flannel",
        (
            *(Artifact(name, f"/opt/cni/bin/{name}") for name in PLUGINS),
            Directory("/etc/cni/net.d"),
        ),
    )
