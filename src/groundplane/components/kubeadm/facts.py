"""What a machine itself knows of its part in the cluster, looked at in one round trip."""

from __future__ import annotations

from dataclasses import dataclass

from groundplane.components.cluster import paths
from groundplane.components.cluster.api import api_server
from groundplane.state.step import Reach
from groundplane.topology.model import Machine, Topology

# The kubelet writes its kubeconfig before it has the certificate named there: the file alone is no identity.
# An authority without its key came with a join; those we bring have theirs.
_EMBEDDED = f"grep -q 'client-certificate-data: .' {paths.KUBELET} 2>/dev/null"
# The first argument is the URL of the machine's own API server.
_SCRIPT = f"""
[ -s {paths.KUBELET} ] && {{ {_EMBEDDED} || [ -s {paths.CLIENT} ]; }} && echo identity
{_EMBEDDED} && echo embedded
{{ [ -n "$(ls -d {" ".join(paths.TRACES)} 2>/dev/null)" ] || [ -e {paths.PKI}/ca.crt -a ! -e {paths.PKI}/ca.key ]; }} \\
  && echo traces
[ -e {paths.BOOTSTRAP} ] && echo bootstrap
[ -s {paths.ADMIN} ] && echo admin
[ -n "$(ls -A {paths.MANIFESTS} 2>/dev/null)" ] && echo manifests
[ -d {paths.ETCD_DATA}/member ] && echo etcd
[ -s {paths.SERVING} ] && echo serving
systemctl is-active --quiet kubelet && echo kubelet
case "$(systemctl is-active {paths.UNIT})" in active|activating|deactivating) echo kubeadm ;; esac
[ -e {paths.ADMIN} ] && kubectl --kubeconfig={paths.ADMIN} --server="$1" \\
  --request-timeout=5s get --raw=/readyz >/dev/null 2>&1 && echo api
exit 0
"""


@dataclass(frozen=True, slots=True)
class Facts:
    """What lies and runs on a node.

    ``identity``: the kubelet has its own credentials; ``embedded``: they lie inside its kubeconfig, where it can't
    renew them; ``bootstrap``: a join's are still there; ``traces``: kubeadm began something; ``admin``: it has an
    administrator's; ``manifests``: static pods are laid out; ``etcd``: etcd has data; ``serving``: the kubelet
    has a serving certificate; ``kubelet``: it runs; ``kubeadm``: one of our kubeadm runs goes on;
    ``api``: the machine's own API server is ready.
    """

    identity: bool = False
    embedded: bool = False
    traces: bool = False
    bootstrap: bool = False
    admin: bool = False
    manifests: bool = False
    etcd: bool = False
    serving: bool = False
    kubelet: bool = False
    kubeadm: bool = False
    api: bool = False

    @property
    def untouched(self) -> bool:
        """Whether kubeadm has never begun anything here."""
        begun = self.identity or self.bootstrap or self.traces or self.admin
        return not (begun or self.manifests or self.etcd or self.kubelet)


async def look(reach: Reach, topology: Topology, machine: Machine) -> Facts:
    """Look at ``machine``; a TransportError when it can't be reached."""
    argv = ("sh", "-c", _SCRIPT, "look", api_server(topology, machine))
    answer = await reach.run(machine.name, argv, timeout=30)
    words = set(answer.text.split())
    return Facts(**{name: name in words for name in Facts.__dataclass_fields__})
