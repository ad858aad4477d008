"""dnsmasq's configuration. Manual: https://thekelleys.org.uk/dnsmasq/docs/dnsmasq-man.html"""

from __future__ import annotations

from groundplane.components.base import templates
from groundplane.spec.roles import Role
from groundplane.state.model import DataFolder, File, Fragment, Package, Unit
from groundplane.topology.model import Machine, Topology

CONFIG = "/etc/dnsmasq.d/groundplane.conf"
LEASES = "/var/lib/misc/dnsmasq.leases"
DROP_IN = "/etc/systemd/system/dnsmasq.service.d/groundplane.conf"

NAMES_WITH_A_MEANING = (
    # Programs look these up in the domain they are in, and do as the answer says: a proxy for everybody's browser
    # (draft-ietf-wrec-wpad), a tunnel for everybody's IPv6 (RFC 5214). Windows DNS's global query block list has both.
    "wpad",
    "isatap",
    # Where mail programs send the user's password to learn their settings (Outlook, Thunderbird), and what mail servers
    # ask how to deliver (RFC 8461).
    "autoconfig",
    "autodiscover",
    "mta-sts",
    # Names that resolvers and programs never ask anybody for, or take to be of a kind (RFC 6761, RFC 6762, RFC 7686,
    # RFC 9476), and those that Debian, Red Hat and macOS give to the machine itself.
    "localhost",
    "localhost4",
    "localhost6",
    "localdomain",
    "ip6-localhost",
    "ip6-loopback",
    "ip6-allnodes",
    "ip6-allrouters",
    "broadcasthost",
    "local",
    "invalid",
    "test",
    "example",
    "onion",
    "alt",
    "arpa",
    "internal",
)


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
