"""How large a node is, for those who ask its kernel, where that is somebody else's and tells of more.

The kubelet takes what it tells the scheduler, and what it evicts pods by, from there (cAdvisor, machine/machine.go and
utils/sysinfo): memory from /proc/meminfo, processors by counting in /sys/devices/system/node. How much is used it reads
in the machine's own control groups. So the two places are covered by what the cluster file says.
"""

from __future__ import annotations

from math import ceil
from typing import Final

from groundplane.components.base import templates
from groundplane.state.model import File, Resource, Unit
from groundplane.topology.model import Machine, Topology

UNIT: Final = "groundplane-size.service"
SCRIPT: Final = "/usr/lib/groundplane/size"
_UNIT_FILE: Final = f"/etc/systemd/system/{UNIT}"
_TEMPLATES = templates(__file__)


def told(topology: Topology) -> bool:
    """Whether nodes have to be told their size."""
    return not topology.traits.own_kernel


def processors(machine: Machine) -> int:
    """As many as Kubernetes counts: whole ones."""
    return ceil(machine.cpus)


def resources(topology: Topology, machine: Machine) -> tuple[Resource, ...]:
    """What tells ``machine`` its size; nothing where its kernel does."""
    if not told(topology):
        return ()
    script = _TEMPLATES.get_template("size.sh.j2").render(memory=machine.memory // 1024, cpus=processors(machine))
    unit = _TEMPLATES.get_template("size.service.j2").render(script=SCRIPT)
    return (
        File(SCRIPT, script.encode(), mode=0o755, check=("sh", "-n", "{}")),
        File(_UNIT_FILE, unit.encode()),
        Unit(UNIT, reads=(SCRIPT, _UNIT_FILE), effect=(SCRIPT, "look")),
    )
