"""nftables on the gateway: what may come in, and what may pass."""

from __future__ import annotations

from functools import partial

from groundplane.components.base import Component, Publishing
from groundplane.components.nftables.checks import checks
from groundplane.components.nftables.fragment import fragment


def component(published: Publishing) -> Component:
    """The packet filter; a gateway that balances lets in what ``published`` tells."""
    return Component(
        "nftables",
        partial(fragment, published),
        checks=checks,
        interrupts={"nftables.service": "nothing: the filter is replaced at once"},
    )
