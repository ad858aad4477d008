"""The certificates that etcd itself reads, laid so that its user can read them.

kubeadm makes them for root alone and starts etcd a moment later, so they are made just before it comes, from the
authority that every control plane has; kubeadm keeps what it finds. They stay root's, and root's group, to which etcd's
pod belongs, may read them. Whoever renews them later writes into the same files.
"""

from __future__ import annotations

from groundplane.components.cluster import paths
from groundplane.state.step import Reach
from groundplane.topology.model import Machine

_SCRIPT = f"""set -eu
umask 077
for leaf in server peer; do kubeadm init phase certs "etcd-$leaf" --config={paths.INIT}; done
chmod 0640 {" ".join(paths.ETCD_LEAVES)}
"""


async def lay(reach: Reach, machine: Machine) -> None:
    """Have them on a control plane where kubeadm is about to begin or to join."""
    await reach.run(machine.name, ("sh", "-c", _SCRIPT), timeout=60)
