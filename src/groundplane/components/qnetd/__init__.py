"""The quorum's third vote: corosync-qnetd on the gateway."""

from __future__ import annotations

from groundplane.components.base import Component
from groundplane.components.qnetd.checks import checks
from groundplane.components.qnetd.fragment import fragment
from groundplane.components.qnetd.without import without

COMPONENT = Component(
    name="qnetd",
    fragment=fragment,
    checks=checks,
    without=without,
    interrupts={"corosync-qnetd.service": "the third vote, for a second"},
)
