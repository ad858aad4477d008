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
    system,
)
from groundplane.components.base import Component

COMPONENTS: tuple[Component, ...] = (
    system.COMPONENT,
    nftables.COMPONENT,
    dnsmasq.COMPONENT,
    chrony.COMPONENT,
    registry.COMPONENT,
    qnetd.COMPONENT,
    corosync.COMPONENT,
    haproxy.COMPONENT,
    pacemaker.COMPONENT,
    containerd.COMPONENT,
    kubeadm.COMPONENT,
    pod_network.COMPONENT,
)
