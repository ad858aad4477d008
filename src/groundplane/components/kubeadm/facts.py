"""What a machine itself knows of its part in the cluster, looked at in one round trip."""

from __future__ import annotations

from dataclasses import dataclass

from groundplane.components.cluster import paths
from groundplane.components.cluster.api import api_server
from groundplane.state.step import Completed, Reach
from groundplane.topology.model import Machine, Topology

_FAULTS = "faults"

# Seconds a kubelet must have run since systemd last started it by itself: one that can't begin is active for a moment
# between two restarts as well (its unit waits two seconds).
_STEADY = 8

# The kubelet writes its kubeconfig before it has the certificate named there: the file alone is no identity. Nor is a
# certificate that ended, that another authority signed, or that has another key. The platform's authority comes on
# standard input, for a worker's own copy is as old as its join.
# An authority without its key came with a join; those we bring have theirs.
_EMBEDDED = f"grep -q 'client-certificate-data: .' {paths.KUBELET} 2>/dev/null"
# openssl takes most of a look's time, so what it found good is remembered by its content until it ends; a change of the
# certificate, its key or the authority is another content.
_SCRIPT = f"""
install -d -m 0700 {paths.RUN}
authority=$(mktemp) && trap 'rm -f "$authority"' EXIT && cat >"$authority"
read -r up _ </proc/uptime
now=$(date +%s)
said() {{ printf '%s\\n' "$both"; }}
good() {{ # what it is called; standard input: the certificate and its key
  both=$(cat)
  seen=$(said | cat - "$authority" | sha256sum) && seen={paths.RUN}/good-${{seen%% *}}
  [ -s "$seen" ] && read -r end <"$seen" && [ "$now" -lt "$end" ] && return
  rm -f "$seen"
  ends=$(said | openssl x509 -noout -enddate 2>/dev/null) || {{ echo faults "$1 can't be read"; return 1; }}
  said | openssl x509 -noout -checkend 0 >/dev/null || {{ echo faults "$1 ended at ${{ends#notAfter=}}"; return 1; }}
  said | openssl verify -CAfile "$authority" >/dev/null 2>&1 || {{
    echo faults "$1 isn't of the platform's authority"; return 1; }}
  [ "$(said | openssl x509 -noout -pubkey)" = "$(said | openssl pkey -pubout 2>/dev/null)" ] || {{
    echo faults "$1 has another key"; return 1; }}
  date -d "${{ends#notAfter=}}" +%s >"$seen"
}}
embedded() {{
  for part in certificate key; do sed -n "s/^ *client-$part-data: //p" {paths.KUBELET} | base64 -d; done
}}
{_EMBEDDED} && within=y && echo embedded
if [ -s {paths.KUBELET} ] && [ -s {paths.CLIENT} ]; then good {paths.CLIENT} <{paths.CLIENT} && echo identity
elif [ -n "$within" ]; then embedded | good {paths.KUBELET} && echo identity
fi
{{ [ -n "$(ls -d {" ".join(paths.TRACES)} 2>/dev/null)" ] || [ -e {paths.PKI}/ca.crt -a ! -e {paths.PKI}/ca.key ]; }} \\
  && echo traces
[ -e {paths.BOOTSTRAP} ] && echo bootstrap
[ -s {paths.ADMIN} ] && echo admin
[ -n "$(ls -A {paths.MANIFESTS} 2>/dev/null)" ] && echo manifests
[ -d {paths.ETCD_DATA}/member ] && echo etcd
[ -s {paths.SERVING} ] && good {paths.SERVING} <{paths.SERVING} && echo serving
[ -e {paths.PREPARED} ] && echo prepared
properties=Id,ActiveState,NRestarts,ActiveEnterTimestampMonotonic
systemctl show --property=$properties kubelet {paths.UNIT} {paths.PREPARING} |
  awk -F= -v up="$up" '
    function told() {{
      if (v["Id"] == "kubelet.service" && v["ActiveState"] == "active" &&
          (v["NRestarts"] == 0 || up - v["ActiveEnterTimestampMonotonic"] / 1e6 > {_STEADY})) print "kubelet"
      if (v["Id"] ~ /^{paths.UNIT}/ && v["ActiveState"] ~ /^(active|activating|deactivating)$/)
        print (v["Id"] == "{paths.UNIT}.service" ? "kubeadm" : "preparing")
      split("", v)
    }}
    NF {{ v[$1] = $2 }}
    !NF {{ told() }}
    END {{ told() }}'
exit 0
"""

# Strangers may ask an API server whether it is ready. One that says that it isn't, or nothing, is asked up to three
# times: on a starved computer it is a moment later. Where nobody listens, nobody is waited for.
_READY = """
authority=$(mktemp) && trap 'rm -f "$authority"' EXIT && cat >"$authority"
curl --silent --fail --max-time 5 --retry 2 --retry-delay 1 --cacert "$authority" --output /dev/null "$1/readyz"
"""


@dataclass(frozen=True, slots=True)
class Facts:
    """What lies and runs on a node.

    ``identity``: the kubelet has its own credentials, and they are good; ``embedded``: they lie inside its kubeconfig,
    where it can't renew them; ``bootstrap``: a join's are still there; ``traces``: kubeadm began something; ``admin``:
    it has an administrator's; ``manifests``: static pods are laid out; ``etcd``: etcd has data; ``serving``: the
    kubelet has a good serving certificate; ``kubelet``: it runs, and not only between two restarts; ``kubeadm``: one of
    our kubeadm runs goes on; ``preparing``: one that makes what a join needs; ``prepared``: one has come to its end;
    ``faults``: what is wrong with each certificate that is there and isn't good.
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
    preparing: bool = False
    prepared: bool = False
    faults: tuple[str, ...] = ()

    @property
    def untouched(self) -> bool:
        """Whether kubeadm has never begun anything here."""
        begun = self.identity or self.bootstrap or self.traces or self.admin
        return not (begun or self.manifests or self.etcd or self.kubelet)

    @property
    def ready(self) -> bool:
        """Whether a join finds all it needs on the machine, and nothing of an earlier one."""
        return self.prepared and self.identity and self.admin and not (self.bootstrap or self.manifests or self.etcd)


async def look(reach: Reach, topology: Topology, machine: Machine) -> Facts:
    """Look at ``machine``; a TransportError when it can't be reached."""
    authority = topology.secrets.kubernetes_ca.certificate
    return parse(await reach.run(machine.name, ("sh", "-c", _SCRIPT), stdin=authority, timeout=30))


async def serves(reach: Reach, topology: Topology, machine: Machine) -> bool:
    """Whether ``machine``'s own API server is ready; a TransportError when the machine can't be reached."""
    authority = topology.secrets.kubernetes_ca.certificate
    argv = ("sh", "-c", _READY, "ready", api_server(topology, machine))
    return (await reach.run(machine.name, argv, stdin=authority, timeout=30, check=False)).status == 0


def parse(answer: Completed) -> Facts:
    """A line for each fact that is so, ``faults WORDS`` for each certificate that isn't good."""
    lines = answer.text.splitlines()
    known = {name: name in lines for name in Facts.__dataclass_fields__ if name != _FAULTS}
    return Facts(**known, faults=tuple(line.partition(" ")[2] for line in lines if line.startswith(f"{_FAULTS} ")))
