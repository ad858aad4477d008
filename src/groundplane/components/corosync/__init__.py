"""Corosync on the balancers: who is a member, and which side is the majority."""

from __future__ import annotations

from groundplane.components.base import Component
from groundplane.components.corosync.checks import checks
from groundplane.components.corosync.fragment import fragment
from groundplane.components.corosync.steps import steps

COMPONENT = Component(
    name="corosync",
    fragment=fragment,
    steps=steps,
    checks=checks,
    interrupts={
        "corosync.service": "it leaves the others for seconds; the floating address moves if it is here",
        "corosync-qdevice.service": "it does without the third vote for a second",
    },
)
