"""What flannel is to the rooms that know only a pod network."""

from __future__ import annotations

from groundplane.components.podnet.network import PodNetwork

NAMESPACE = "kube-flannel"
NETWORK = PodNetwork(
    namespace=NAMESPACE,
    account="flannel",
    link="`ip -d link show flannel.1`",
    image=lambda software: software.flannel_image,
    bridge="cni0",
    # Of host-local, of flannel's own plugin, and what CNI's library remembers of the pods it attached.
    reserved=("/var/lib/cni/networks", "/var/lib/cni/flannel", "/var/lib/cni/results"),
    overlay="flannel.1",
    lease=("/run/flannel/subnet.env",),
)
