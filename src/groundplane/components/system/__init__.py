"""What every machine has: its neighbours' fixed names, the resolver, the platform's authority, plain tools."""

from groundplane.components.base import Component
from groundplane.components.system.fragment import fragment

COMPONENT = Component("system", fragment)
