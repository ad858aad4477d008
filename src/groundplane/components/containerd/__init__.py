"""containerd: runs the containers of every node, whose images come from the gateway's registry."""

from groundplane.components.base import Component
from groundplane.components.containerd.fragment import fragment

COMPONENT = Component(
    name="containerd",
    fragment=fragment,
    interrupts={"containerd.service": "no pod starts or stops on it for seconds; those that run go on"},
)
