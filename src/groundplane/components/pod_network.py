"""Which component is the network between pods: the one place that says so."""

from __future__ import annotations

from groundplane.components import flannel

COMPONENT = flannel.COMPONENT
POD_NETWORK = flannel.NETWORK
