"""What happens by itself: control planes renew what kubeadm made, and approve what kubelets ask for."""

from groundplane.components.base import Component
from groundplane.components.renewal.checks import checks
from groundplane.components.renewal.fragment import INTERRUPTS, fragment
from groundplane.components.renewal.steps import steps

COMPONENT = Component(name="renewal", fragment=fragment, steps=steps, checks=checks, interrupts=INTERRUPTS)
