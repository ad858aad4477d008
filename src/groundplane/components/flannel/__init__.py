"""flannel: the network between pods, one VXLAN over the LAN."""

from groundplane.components.base import Component
from groundplane.components.flannel.checks import checks
from groundplane.components.flannel.fragment import fragment
from groundplane.components.flannel.network import NETWORK
from groundplane.components.flannel.steps import steps

__all__ = ["COMPONENT", "NETWORK"]

COMPONENT = Component(name="flannel", fragment=fragment, steps=steps, checks=checks)
