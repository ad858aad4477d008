"""All components, in the order they are shown. The order has no other meaning: needs are stated by Steps and units."""

from __future__ import annotations

from groundplane.components import (
    chrony,
    containerd,
    corosync,
    dnsmasq,
    haproxy,
    kubeadm,
    nftables,
    pacemaker,
    pod_network,
    qnetd,
    registry,
    renewal,
    system,
)
from groundplane.components.base import Component, Published
from groundplane.topology.model import Topology


def published(topology: Topology) -> tuple[Published, ...]:
    """What all components together offer behind the floating address."""
    return tuple(service for component in COMPONENTS for service in component.publishes(topology))


COMPONENTS: tuple[Component, ...] = (
    system.COMPONENT,
    nftables.component(published),
    dnsmasq.COMPONENT,
    chrony.COMPONENT,
    registry.COMPONENT,
    qnetd.COMPONENT,
    corosync.COMPONENT,
    haproxy.component(published),
    pacemaker.COMPONENT,
    containerd.COMPONENT,
    renewal.COMPONENT,
    kubeadm.COMPONENT,
    pod_network.COMPONENT,
)
