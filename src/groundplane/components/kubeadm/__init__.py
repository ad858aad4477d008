"""kubeadm: the Kubernetes cluster itself, with etcd, the kubelets, CoreDNS and kube-proxy as kubeadm brings them.

One Component for all of their rooms: whatever changes of one of them, the checks of the whole cluster must hold.
"""

from groundplane.components.base import Component
from groundplane.components.etcd.spare import ails, spare, without
from groundplane.components.kubeadm.checks import checks
from groundplane.components.kubeadm.fragment import fragment
from groundplane.components.kubeadm.leaving import leaving
from groundplane.components.kubeadm.publishing import publishes
from groundplane.components.kubeadm.steps import steps
from groundplane.components.kubelet.fragment import INTERRUPTS

COMPONENT = Component(
    name="kubeadm",
    fragment=fragment,
    steps=steps,
    checks=checks,
    spare=spare,
    without=without,
    ails=ails,
    interrupts=INTERRUPTS,
    leaving=leaving,
    publishes=publishes,
)
