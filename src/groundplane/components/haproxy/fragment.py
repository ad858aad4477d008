"""What HAProxy adds to a balancer: its configuration, a drop-in for its unit, and the API's authority to verify with.

The API's connections pass through untouched: only the API servers end TLS, so client certificates keep working and no
private key lies on a balancer. HAProxy listens on every address of the machine rather than on the floating one, so a
standby has its socket open before the address arrives and taking over costs no bind; what it serves on its own
address is what it would serve on the floating one.

Where the machine itself serves what is published, as a control plane that is a balancer too, its own address is that
server's, and HAProxy has the floating one alone. It then binds it before it is there (``transparent``, a bind option of
HAProxy's): the socket is open all the time here too, and no other program may bind what isn't the machine's.
"""

from __future__ import annotations

from groundplane.components.base import Published, Publishing, templates
from groundplane.spec.roles import Role
from groundplane.state.model import File, Fragment, Package, Unit
from groundplane.topology.model import Machine, Topology

CONFIG = "/etc/haproxy/haproxy.cfg"
ADMIN_SOCKET = "/run/haproxy/admin.sock"
SERVERS = "/run/haproxy/servers"
"""How a worker saw its servers when it was last told to make way for another one."""
SCRIPT = "/usr/lib/groundplane/haproxy-servers"
HEALTH_PORT = 8405  # loopback only; Pacemaker's agent asks there
HEALTH_PATH = "/healthz"
UNIT = "haproxy.service"


def fragment(published: Publishing, topology: Topology, machine: Machine) -> Fragment | None:
    """Return what HAProxy adds to ``machine``, None for anything but a balancer."""
    if not machine.has(Role.BALANCER):
        return None
    environment = templates(__file__)
    services = published(topology)
    authorities = {
        authority_path(service): File(authority_path(service), service.health.certificate) for service in services
    }
    config = environment.get_template("haproxy.cfg.j2").render(
        topology=topology,
        threads=max(1, int(machine.cpus)),
        admin_socket=ADMIN_SOCKET,
        servers=SERVERS,
        services=[(service, bind(topology, machine, service), authority_path(service)) for service in services],
        health_port=HEALTH_PORT,
        health_path=HEALTH_PATH,
    )
    script = environment.get_template("servers.sh.j2").render(
        admin_socket=ADMIN_SOCKET, servers=SERVERS, services=services
    )
    drop_in = environment.get_template("haproxy.service.conf.j2").render(servers=SERVERS, script=SCRIPT)
    return Fragment(
        component="haproxy",
        resources=(
            Package("haproxy"),
            Package("socat"),  # the check asks the statistics socket with it
            File(CONFIG, config.encode(), check=("haproxy", "-c", "-f", "{}")),
            *authorities.values(),
            File(SCRIPT, script.encode(), mode=0o755, check=("sh", "-n", "{}")),
            File("/etc/systemd/system/haproxy.service.d/groundplane.conf", drop_in.encode()),
            Unit(UNIT, enabled=False, active=None, reads=(CONFIG, *authorities), reloads=True),
        ),
    )


def bind(topology: Topology, machine: Machine, service: Published) -> str:
    """Where HAProxy listens on ``machine`` for ``service``."""
    if machine in service.servers:
        return f"{topology.lan.floating}:{service.port} transparent"
    return f":{service.port}"


def authority_path(service: Published) -> str:
    """Where a balancer keeps the authority that ``service``'s servers are verified with."""
    return f"/etc/haproxy/{service.health.authority}.pem"
