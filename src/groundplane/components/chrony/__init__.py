"""chrony: the gateway serves the time, all others follow it."""

from groundplane.components.base import Component
from groundplane.components.chrony.checks import checks
from groundplane.components.chrony.fragment import fragment

COMPONENT = Component(
    "chrony", fragment, checks=checks, interrupts={"chrony.service": "nothing: the clock runs on meanwhile"}
)
