"""A suite as one page."""

from __future__ import annotations

from groundplane.drill.model import Suite


def page(suite: Suite) -> str:
    return repr(suite.ok)
