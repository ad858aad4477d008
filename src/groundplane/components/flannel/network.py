"""What flannel is to the rooms that know only a pod network."""

from __future__ import annotations

from groundplane.components.podnet.network import PodNetwork

NAMESPACE = "kube-flannel"
NETWORK = PodNetwork(
    namespace=NAMESPACE,
    link="`ip -d link show flannel.1`",
    cards=("cni0", "flannel.1"),
    image=lambda software: software.flannel_image,
)
