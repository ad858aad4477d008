"""What flannel needs on a node: CNI's plugins. The daemon is a pod, and lays CNI's configuration when it is ready."""

from __future__ import annotations

from groundplane.state.model import Artifact, Directory, File, Fragment
from groundplane.topology.model import Machine, Topology

# Its own plugin delegates to bridge with host-local addresses; portmap serves hostPort, loopback every pod,
# bandwidth, firewall and tuning what users chain after them.
PLUGINS = ("bandwidth", "bridge", "firewall", "flannel", "host-local", "loopback", "portmap", "tuning")
CONFLIST = "/etc/cni/net.d/10-flannel.conflist"


def fragment(topology: Topology, machine: Machine) -> Fragment | None:
    if not machine.is_node:
        return None
    return Fragment(
        "flannel",
        (
            *(Artifact(name, f"/opt/cni/bin/{name}") for name in PLUGINS),
            Directory("/etc/cni/net.d"),
            # What flannel knew doesn't outlive a boot (/run), and what says that it knows neither.
            File("/etc/tmpfiles.d/groundplane-flannel.conf", f"r! {CONFLIST}\n".encode()),
        ),
    )
