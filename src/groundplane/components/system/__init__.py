"""What every machine has: its neighbours' fixed names, the resolver, the platform's authority, plain tools."""

from groundplane.components.base import Component
from groundplane.components.system.fragment import NETWORKD, fragment

COMPONENT = Component("system", fragment, interrupts={NETWORKD: "nothing: addresses and routes stay"})
