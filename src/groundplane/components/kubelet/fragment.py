"""What the kubelet needs on a node: its unit and its configuration. kubeadm starts it, once the node joins."""

from __future__ import annotations

from collections.abc import Mapping

from groundplane.components.base import templates
from groundplane.components.kubelet import size
from groundplane.components.kubelet.configuration import RESERVED_CPU, configuration, reserved
from groundplane.spec.roles import ROLES
from groundplane.state.derived import HOST_NAME_FILE
from groundplane.state.model import Artifact, DataFolder, File, Resource, Sysctl, Unit
from groundplane.topology.model import Machine, Topology

KUBELET_UNIT = "/etc/systemd/system/kubelet.service"
BINARY = "/usr/local/bin/kubelet"
KUBELET_DROP_IN = "/etc/systemd/system/kubelet.service.d/10-kubeadm.conf"
KUBELET_DEFAULTS = "/etc/default/kubelet"
CONFIG = "/etc/groundplane/kubelet/config.yaml"

# What the kubelet would set by itself; with protectKernelDefaults it insists on finding them instead.
KERNEL_DEFAULTS = (
    ("kernel.keys.root_maxbytes", "25000000"),
    ("kernel.keys.root_maxkeys", "1000000"),
    ("kernel.panic", "10"),
    ("kernel.panic_on_oops", "1"),
    ("vm.overcommit_memory", "1"),
    ("vm.panic_on_oom", "0"),
)
UNIT = "kubelet.service"
_PAUSE = "no pod starts or stops on it for seconds; those that run go on"
# A kubelet that was told another size begins anew.
INTERRUPTS: Mapping[str, str] = {UNIT: _PAUSE, size.UNIT: _PAUSE}
_TEMPLATES = templates(__file__)


def resources(topology: Topology, machine: Machine) -> tuple[Resource, ...]:
    """The kubelet of a node, and what it insists on finding in its kernel where that is the machine's own."""
    kernel = KERNEL_DEFAULTS if topology.traits.own_kernel else ()
    return (
        Artifact("kubelet", BINARY),
        DataFolder("/var/lib/kubelet", mode=0o750),
        File(KUBELET_UNIT, _rendered("kubelet.service.j2", size=size.UNIT if size.told(topology) else ""), mode=0o600),
        File(KUBELET_DROP_IN, _rendered("10-kubeadm.conf.j2", config=CONFIG), mode=0o600),
        File(CONFIG, configuration(topology), mode=0o600),
        File(KUBELET_DEFAULTS, f"KUBELET_EXTRA_ARGS={' '.join(_arguments(machine))}\n".encode()),
        # kubeadm starts it, once there is something to run.
        # It registers under the machine's name.
        # What it is told of the machine's size it asks for when it begins.
        Unit(
            UNIT,
            active=None,
            reads=(BINARY, KUBELET_UNIT, KUBELET_DROP_IN, KUBELET_DEFAULTS, CONFIG, HOST_NAME_FILE, size.SCRIPT),
        ),
        *size.resources(topology, machine),
        *(Sysctl(key, value) for key, value in kernel),
    )


def _arguments(machine: Machine) -> tuple[str, ...]:
    """What is said to this kubelet alone; the configuration is the whole cluster's. A machine that is something else
    besides keeps as much for that as its role needs at least."""
    address = f"--node-ip={machine.address}"
    beside = sum(ROLES[role].least.memory for role in machine.roles if not ROLES[role].node)
    if not beside:
        return (address,)
    return address, f"--system-reserved=cpu={RESERVED_CPU},memory={reserved(beside)}"


def _rendered(name: str, **values: object) -> bytes:
    return _TEMPLATES.get_template(name).render(values).encode()
