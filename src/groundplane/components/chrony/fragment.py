"""chrony's configuration. Manual: https://chrony-project.org/documentation.html"""

from __future__ import annotations

from groundplane.components.base import templates
from groundplane.spec.roles import Role
from groundplane.state.model import File, Fragment, Package, Unit
from groundplane.topology.model import Machine, Topology

CONFIG = "/etc/chrony/chrony.conf"
OPTIONS = "/etc/default/chrony"
DROP_IN = "/etc/systemd/system/chrony.service.d/groundplane.conf"


def fragment(topology: Topology, machine: Machine) -> Fragment:
    environment = templates(__file__)
    served = machine.has(Role.GATEWAY)
    config = environment.get_template("server.conf.j2" if served else "client.conf.j2").render(
        lan=topology.lan, gateway=topology.gateway, traits=topology.traits
    )
    options = environment.get_template("default.j2").render(traits=topology.traits)
    drop_in = environment.get_template("chrony.service.conf.j2").render(traits=topology.traits)
    return Fragment(
        "chrony",
        (
            Package("chrony"),
            File(CONFIG, config.encode(), check=("chronyd", "-p", "-f", "{}")),
            File(OPTIONS, options.encode()),
            File(DROP_IN, drop_in.encode()),
            Unit("chrony.service", reads=(CONFIG, OPTIONS, DROP_IN)),
        ),
    )
