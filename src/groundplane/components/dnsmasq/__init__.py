"""dnsmasq on the gateway: DHCP and DNS of the LAN, in step with each other."""

from groundplane.components.base import Component
from groundplane.components.dnsmasq.checks import checks
from groundplane.components.dnsmasq.fragment import fragment
from groundplane.components.dnsmasq.steps import leaving, steps

COMPONENT = Component(
    "dnsmasq",
    fragment,
    steps=steps,
    checks=checks,
    leaving=leaving,
    interrupts={"dnsmasq.service": "names and new leases, for less than a second"},
)
