"""Pacemaker on the balancers: holds the floating address together with a running HAProxy."""

from __future__ import annotations

from groundplane.components.base import Component
from groundplane.components.pacemaker.checks import checks
from groundplane.components.pacemaker.fragment import fragment
from groundplane.components.pacemaker.leaving import leaving
from groundplane.components.pacemaker.spare import spare
from groundplane.components.pacemaker.steps import steps

COMPONENT = Component(
    name="pacemaker",
    fragment=fragment,
    steps=steps,
    checks=checks,
    spare=spare,
    leaving=leaving,
    interrupts={
        "pacemaker.service": "the floating address moves if it is here",
        "groundplane-lease.service": "the floating address, for some 0.1 s if it is here",
    },
)
