"""Corosync on the balancers: who is a member, and which side is the majority."""

from __future__ import annotations

from groundplane.components.base import Component
from groundplane.components.corosync.checks import checks
from groundplane.components.corosync.fragment import fragment

COMPONENT = Component(name="corosync", fragment=fragment, checks=checks)
