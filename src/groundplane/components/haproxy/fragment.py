"""What HAProxy adds to a balancer: its configuration, a drop-in for its unit, and the API's authority to verify with.

The API's connections pass through untouched: only the API servers end TLS, so client certificates keep working and no
private key lies on a balancer. HAProxy listens on every address of the machine rather than on the floating one, so a
standby has its socket open before the address arrives and taking over costs no bind; what it serves on its own
address is what it would serve on the floating one.
"""

from __future__ import annotations

from groundplane.components.base import templates
from groundplane.spec.model import Role
from groundplane.state.model import File, Fragment, Package, Unit
from groundplane.topology.model import Machine, Topology

CONFIG = "/etc/haproxy/haproxy.cfg"
KUBERNETES_CA = "/etc/haproxy/kubernetes-ca.pem"
ADMIN_SOCKET = "/run/haproxy/admin.sock"
HEALTH_PORT = 8405  # loopback only; Pacemaker's agent asks there
HEALTH_PATH = "/healthz"
API_PORT = 6443
BACKEND = "kube-apiserver"
UNIT = "haproxy.service"


def fragment(topology: Topology, machine: Machine) -> Fragment | None:
    """Return what HAProxy adds to ``machine``, None for anything but a balancer."""
    if machine.role is not Role.BALANCER:
        return None
    environment = templates(__file__)
    config = environment.get_template("haproxy.cfg.j2").render(
        topology=topology,
        threads=max(1, int(machine.cpus)),
        admin_socket=ADMIN_SOCKET,
        api_port=API_PORT,
        backend=BACKEND,
        health_port=HEALTH_PORT,
        health_path=HEALTH_PATH,
        kubernetes_ca=KUBERNETES_CA,
    )
    drop_in = environment.get_template("haproxy.service.conf.j2").render()
    return Fragment(
        component="haproxy",
        resources=(
            Package("haproxy"),
            Package("socat"),  # the check asks the statistics socket with it
            File(CONFIG, config.encode(), check=("haproxy", "-c", "-f", "{}")),
            File(KUBERNETES_CA, topology.secrets.kubernetes_ca.certificate),
            File("/etc/systemd/system/haproxy.service.d/groundplane.conf", drop_in.encode()),
            Unit(UNIT, enabled=False, active=None, reads=(CONFIG, KUBERNETES_CA), reloads=True),
        ),
    )
