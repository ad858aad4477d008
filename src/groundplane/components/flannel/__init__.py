"""flannel: the network between pods, one VXLAN over the LAN."""

from groundplane.components.base import Component
from groundplane.components.flannel.checks import checks
from groundplane.components.flannel.fragment import fragment
from groundplane.components.flannel.steps import steps

COMPONENT = Component(name="flannel", fragment=fragment, steps=steps, checks=checks)
