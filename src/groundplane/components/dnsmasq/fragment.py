"""dnsmasq's configuration. Manual: https://thekelleys.org.uk/dnsmasq/docs/dnsmasq-man.html"""

from __future__ import annotations

from groundplane.components.base import templates
from groundplane.spec.names import NAMES_WITH_A_MEANING
from groundplane.spec.roles import Role
from groundplane.state.model import DataFolder, File, Fragment, Package, Unit
from groundplane.topology.model import Machine, Topology

CONFIG = "/etc/dnsmasq.d/groundplane.conf"
LEASES = "/var/lib/misc/dnsmasq.leases"
DROP_IN = "/etc/systemd/system/dnsmasq.service.d/groundplane.conf"


def fragment(topology: Topology, machine: Machine) -> Fragment | None:
    if not machine.has(Role.GATEWAY):
        return None
    environment = templates(__file__)
    uplink = topology.spec.network.uplink
    config = environment.get_template("groundplane.conf.j2").render(
        lan=topology.lan,
        gateway=machine,
        clients=[other for other in topology.machines if not other.has(Role.GATEWAY)],
        nameservers=uplink.nameservers if uplink else (),
        leases=LEASES,
        names_with_a_meaning=NAMES_WITH_A_MEANING,
    )
    drop_in = environment.get_template("dnsmasq.service.conf.j2").render()
    return Fragment(
        "dnsmasq",
        (
            Package("dnsmasq"),
            # The names of running machines must outlive the gateway: they follow from the leases.
            DataFolder("/var/lib/misc"),
            File(CONFIG, config.encode(), check=("dnsmasq", "--test", "-C", "{}")),
            File(DROP_IN, drop_in.encode()),
            Unit("dnsmasq.service", reads=(CONFIG, DROP_IN)),
        ),
    )
