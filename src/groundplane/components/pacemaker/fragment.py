"""What Pacemaker adds to a balancer: its first configuration, our resource agents, the address's lease, its unit.

The configuration (CIB) lies there before Pacemaker starts for the first time, the same on every balancer, so nothing
has to be configured from outside once the machines run. Pacemaker owns and rewrites it afterwards; what the file wants
from then on is brought about where it lives (``steps.py``).
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Final

from groundplane.components.base import templates
from groundplane.components.corosync import timing
from groundplane.components.corosync.fragment import node_id
from groundplane.components.haproxy.fragment import HEALTH_PATH, HEALTH_PORT
from groundplane.components.pacemaker.status import ADDRESS_RESOURCE
from groundplane.errors import StateError
from groundplane.spec.model import Standby
from groundplane.spec.roles import Role
from groundplane.state.model import File, Fragment, Package, Resource, Unit
from groundplane.topology.model import Machine, Topology

CIB = "/var/lib/pacemaker/cib/cib.xml"
KEY = "/etc/pacemaker/authkey"
OPTIONS = "/etc/default/pacemaker"
AGENTS = "/usr/lib/ocf/resource.d/groundplane"
LEASE_PROGRAM = "/usr/lib/groundplane/lease.py"
LEASE_UNIT = "groundplane-lease.service"
LEASE_ARMED = "/run/groundplane-lease/armed"
LEASE_LEAVING = "/run/groundplane-lease/leaving"
LEASE_TAKEN = "/run/groundplane-lease/taken"
# Ends before another balancer can hold the address: that one may have had its last token up to HOLD before this one.
# With three balancers it could be longer, but then it would change, and be too long for a while when one comes or goes.
LEASE = timing.soonest_takeover(2) - 2 * timing.HOLD
UNIT = "pacemaker.service"
HAPROXY_ATTRIBUTE = "haproxy-answers"
"""The node attribute that our resource agent sets where HAProxy runs."""
_SCHEMAS: Final[Mapping[str, str]] = {"trixie": "pacemaker-4.0"}
"""The configuration's schema by release, where Pacemaker 3 is in it: it turns an older one into its own before every
decision, for 80 ms. What Pacemaker 2 reads is the older one."""
_OLDER_SCHEMA = "pacemaker-3.2"
NEWEST_FEATURES = (3, 20, 0)
"""What a Pacemaker that reads the newest of these schemas says it understands (its crm_feature_set)."""


def fragment(topology: Topology, machine: Machine) -> Fragment | None:
    """Return what Pacemaker adds to ``machine``, None for anything but a balancer."""
    if not machine.has(Role.BALANCER):
        return None
    environment = templates(__file__)
    drop_in_path = f"/etc/systemd/system/{UNIT}.d/groundplane.conf"
    agent = environment.get_template("haproxy-agent.sh").render(
        port=HEALTH_PORT, path=HEALTH_PATH, attribute=HAPROXY_ATTRIBUTE
    )
    return Fragment(
        component="pacemaker",
        resources=(
            Package("pacemaker"),
            Package("pacemaker-cli-utils"),
            Package("resource-agents"),  # send_arp
            Package("curl"),  # the agent asks HAProxy's health with it
            File(CIB, cib(topology), mode=0o600, owner="hacluster", group="haclient", initial=True),
            File(
                # Only Pacemaker Remote would use it; but the package puts one into the image, shared by all platforms.
                KEY,
                topology.secrets.pacemaker_key.reveal(),
                mode=0o640,
                group="haclient",
                secret=True,
            ),
            File(OPTIONS, environment.get_template("pacemaker.default.j2").render().encode()),
            File(f"{AGENTS}/haproxy", agent.encode(), mode=0o755, check=("sh", "-n", "{}")),
            File(drop_in_path, environment.get_template("pacemaker.service.conf.j2").render().encode()),
            Unit(UNIT, reads=(KEY, OPTIONS, drop_in_path)),
            *_lease(topology, machine),
        ),
    )


def _lease(topology: Topology, machine: Machine) -> tuple[Resource, ...]:
    """The lease on the address. A lone balancer has it too: nothing changes there when another one comes or goes."""
    environment = templates(__file__)
    agent = environment.get_template("address-agent.sh").render(
        armed=LEASE_ARMED, leaving=LEASE_LEAVING, taken=LEASE_TAKEN, unit=LEASE_UNIT
    )
    unit = environment.get_template("lease.service.j2").render(
        program=LEASE_PROGRAM,
        name=LEASE_UNIT.removesuffix(".service"),
        address=topology.lan.floating,
        card=machine.interface,
        resource=ADDRESS_RESOURCE,
        balancer=machine.name,
        length=LEASE,
        armed=LEASE_ARMED,
        leaving=LEASE_LEAVING,
        taken=LEASE_TAKEN,
    )
    unit_path = f"/etc/systemd/system/{LEASE_UNIT}"
    return (
        Package("nftables"),
        Package("python3"),
        File(LEASE_PROGRAM, Path(__file__).with_name("lease.py").read_bytes(), mode=0o755),
        File(f"{AGENTS}/floating-address", agent.encode(), mode=0o755, check=("sh", "-n", "{}")),
        File(unit_path, unit.encode()),
        Unit(LEASE_UNIT, reads=(LEASE_PROGRAM, unit_path)),
    )


def cib(topology: Topology) -> bytes:
    """Pacemaker's first configuration for ``topology``, as XML."""
    text = (
        templates(__file__)
        .get_template("cib.xml.j2")
        .render(
            topology=topology,
            card=_card(topology),
            schema=_SCHEMAS.get(topology.spec.image.release, _OLDER_SCHEMA),
            nodes=[(node_id(topology, balancer), balancer) for balancer in topology.balancers],
            hot=topology.spec.balancers.standby is Standby.HOT,
            address_resource=ADDRESS_RESOURCE,
            haproxy_attribute=HAPROXY_ATTRIBUTE,
        )
    )
    return text.encode()


def _card(topology: Topology) -> str:
    """What the card that takes the address is called: Pacemaker keeps one name for all balancers."""
    names = sorted({balancer.interface for balancer in topology.balancers})
    if len(names) != 1:
        raise StateError(
            f"the balancers' cards on the LAN have different names: {', '.join(names)}",
            where="pacemaker",
            hint="give them one name on all balancers: Pacemaker's configuration is the same on each",
        )
    return names[0]
