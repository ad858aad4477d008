"""The gateway's packet filter: closed on both sides but for the services it is there for.

A gateway that is something else too lets in what that is there for. As a Kubernetes node it is as open to the LAN as
every other node, for anything may be asked of its pods, and what comes from pods or goes to them passes through it. Its
outer side stays closed in any case.
"""

from __future__ import annotations

from groundplane.components.base import Publishing, templates
from groundplane.components.corosync import timing
from groundplane.components.pod_network import POD_NETWORK
from groundplane.spec.roles import Role
from groundplane.state.model import File, Fragment, Package, Sysctl, Unit
from groundplane.topology.model import Machine, Topology

CONFIG = "/etc/nftables.conf"
TABLE = "groundplane"

# What the file says and what the kernel has are compared as the kernel tells them, so that no way of writing a rule
# makes a difference: the file is loaded in a network namespace of its own, which is gone with the program. -s leaves
# counters out.
_LOADED = """\
wanted=$(unshare --net sh -c 'nft -f "$2" && nft -s list table inet "$1"' sh "$1" "$2") || exit 0
loaded=$(nft -s list table inet "$1" 2>/dev/null) || { echo "table inet $1 of $2 is not loaded"; exit 1; }
[ "$wanted" = "$loaded" ] || { echo "table inet $1 is not as $2 says"; exit 1; }
"""


def fragment(published: Publishing, topology: Topology, machine: Machine) -> Fragment | None:
    if not machine.has(Role.GATEWAY):
        return None
    uplink = topology.spec.network.uplink
    config = (
        templates(__file__)
        .get_template("nftables.conf.j2")
        .render(
            lan=topology.lan,
            gateway=machine,
            uplink=uplink,
            table=TABLE,
            balancers=[balancer.address for balancer in topology.balancers],
            membership_port=timing.PORT if machine.has(Role.BALANCER) else None,
            published=[service.port for service in published(topology)] if machine.has(Role.BALANCER) else [],
            pods=topology.spec.kubernetes.pods if machine.is_node else None,
            pod_cards=POD_NETWORK.cards,
        )
    )
    return Fragment(
        "nftables",
        (
            Package("nftables"),
            File(CONFIG, config.encode(), mode=0o755, check=("nft", "-c", "-f", "{}")),
            # Reloaded, never restarted: its stop empties every table, and connections would pass unfiltered.
            Unit("nftables.service", reads=(CONFIG,), reloads=True, effect=("sh", "-c", _LOADED, "sh", TABLE, CONFIG)),
            # Without an uplink and pods there is nothing to forward to. Said in both cases, so that taking the uplink
            # away closes the way again.
            Sysctl("net.ipv4.ip_forward", "1" if uplink or machine.is_node else "0"),
            # A packet that claims an address of the other side is dropped where it comes in (RFC 3704).
            Sysctl("net.ipv4.conf.all.rp_filter", "1"),
            Sysctl("net.ipv4.conf.default.rp_filter", "1"),
        ),
    )
