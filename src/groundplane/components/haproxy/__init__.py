"""HAProxy in front of the API servers, on every balancer. Pacemaker decides where it runs."""

from __future__ import annotations

from groundplane.components.base import Component
from groundplane.components.haproxy.checks import checks
from groundplane.components.haproxy.fragment import fragment

COMPONENT = Component(
    name="haproxy",
    fragment=fragment,
    checks=checks,
    interrupts={"haproxy.service": "connections through it; the floating address moves if it is here"},
)
