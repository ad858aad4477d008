"""Pacemaker on the balancers: holds the floating address together with a running HAProxy."""

from __future__ import annotations

from groundplane.components.base import Component
from groundplane.components.pacemaker.checks import checks
from groundplane.components.pacemaker.fragment import fragment

COMPONENT = Component(name="pacemaker", fragment=fragment, checks=checks)
