"""HAProxy on every balancer, in front of what is published: the API servers. Pacemaker decides where it runs."""

from __future__ import annotations

from functools import partial

from groundplane.components.base import Component, Publishing
from groundplane.components.haproxy.checks import checks
from groundplane.components.haproxy.fragment import fragment


def component(published: Publishing) -> Component:
    """HAProxy in front of what ``published`` tells."""
    return Component(
        name="haproxy",
        fragment=partial(fragment, published),
        checks=partial(checks, published),
        interrupts={"haproxy.service": "connections through it; the floating address moves if it is here"},
    )
