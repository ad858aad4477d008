"""nftables on the gateway: what may come in, and what may pass."""

from groundplane.components.base import Component
from groundplane.components.nftables.checks import checks
from groundplane.components.nftables.fragment import fragment

COMPONENT = Component(
    "nftables", fragment, checks=checks, interrupts={"nftables.service": "nothing: the filter is replaced at once"}
)
