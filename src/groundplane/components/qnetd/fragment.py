"""What the quorum's vote adds to the gateway.

Two balancers that lose sight of each other are equal; the gateway's vote makes one of them the majority and the other
not. It listens on the LAN alone, and answers only clients with a certificate of the platform's own authority.
"""

from __future__ import annotations

from groundplane.components.base import templates
from groundplane.components.qnetd import nss
from groundplane.spec.roles import Role
from groundplane.state.model import File, Fragment, Package, Unit
from groundplane.topology.model import Machine, Topology

PEM_FOLDER = "/etc/groundplane/qnetd"
PORT = 5403  # corosync-qnetd(8)
UNIT = "corosync-qnetd.service"


def fragment(topology: Topology, machine: Machine) -> Fragment | None:
    """Return what the vote adds to ``machine``: None but for the gateway.

    It is given there for a lone balancer and for three too, who don't ask: when one of two leaves, it must not be gone
    before the other has stopped counting on it, and when there are two again it must be there before both count on it.
    """
    if not machine.has(Role.GATEWAY):
        return None
    environment = templates(__file__)
    drop_in = environment.get_template("corosync-qnetd.service.conf.j2").render(
        script=nss.SCRIPT, folder=PEM_FOLDER, nickname=nss.SERVER_NICKNAME
    )
    options = environment.get_template("corosync-qnetd.default.j2").render(address=topology.lan.gateway, port=PORT)
    drop_in_path = f"/etc/systemd/system/{UNIT}.d/groundplane.conf"
    options_path = "/etc/default/corosync-qnetd"
    return Fragment(
        component="qnetd",
        resources=(
            Package("corosync-qnetd"),
            Package("libnss3-tools"),
            Package("openssl"),
            Package("iputils-arping"),  # the check for the floating address asks from here
            nss.script(),
            *nss.pem_files(PEM_FOLDER, topology.secrets.platform_ca, topology.secrets.qnetd),
            File(drop_in_path, drop_in.encode()),
            File(options_path, options.encode()),
            Unit(UNIT, reads=(PEM_FOLDER, drop_in_path, options_path)),
        ),
    )
