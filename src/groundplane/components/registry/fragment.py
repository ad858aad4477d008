"""The registry's configuration. Manual: https://distribution.github.io/distribution/about/configuration/"""

from __future__ import annotations

from groundplane.components.base import templates
from groundplane.spec.roles import Role
from groundplane.state.model import Artifact, File, Fragment, Unit
from groundplane.topology.model import Machine, Topology

UNIT = "groundplane-registry.service"
BINARY = "/usr/local/bin/registry"
CONFIG = "/etc/groundplane/registry/config.yml"
CERTIFICATE = "/etc/groundplane/registry/tls.crt"
KEY = "/etc/groundplane/registry/tls.key"
STORAGE = "/srv/registry"


def fragment(topology: Topology, machine: Machine) -> Fragment | None:
    if not machine.has(Role.GATEWAY):
        return None
    environment = templates(__file__)
    values = {
        "lan": topology.lan,
        "host": topology.registry_host,
        "unit": UNIT,
        "binary": BINARY,
        "config": CONFIG,
        "certificate": CERTIFICATE,
        "key": KEY,
        "storage": STORAGE,
    }
    unit_path = f"/etc/systemd/system/{UNIT}"
    pair = topology.secrets.registry
    return Fragment(
        "registry",
        (
            Artifact("registry", BINARY),
            File(CONFIG, environment.get_template("config.yml.j2").render(values).encode()),
            File(CERTIFICATE, pair.certificate),
            File(KEY, pair.key.reveal(), mode=0o600, secret=True),
            File(unit_path, environment.get_template("service.j2").render(values).encode()),
            Unit(UNIT, reads=(BINARY, CONFIG, CERTIFICATE, KEY, unit_path)),
        ),
    )
