"""kubeadm and the kubelet: the Kubernetes cluster itself, with etcd, CoreDNS and kube-proxy as kubeadm brings them."""

from groundplane.components.base import Component
from groundplane.components.kubeadm.checks import checks
from groundplane.components.kubeadm.fragment import fragment
from groundplane.components.kubeadm.spare import spare
from groundplane.components.kubeadm.steps import steps

COMPONENT = Component(
    name="kubeadm",
    fragment=fragment,
    steps=steps,
    checks=checks,
    spare=spare,
    interrupts={"kubelet.service": "no pod starts or stops on it for seconds; those that run go on"},
)
