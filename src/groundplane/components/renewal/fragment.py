"""Two programs on every control plane, and the timers that run them.

A kubelet asks for a serving certificate well before its own ends, and anew every quarter of an hour while nobody
answers: approving every other minute keeps nobody waiting. What kubeadm made lives for a year, and on all control
planes for the same one. Those that take it up by starting anew mustn't do so on two of them at once, so each has a
turn of its own in every hour. After a boot nobody waits for a turn with what serves nobody any more.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Final

from groundplane.components.base import templates
from groundplane.components.kubelet.serving import APPROVE_PROGRAM
from groundplane.components.renewal import wanted
from groundplane.spec.roles import Role
from groundplane.state.model import File, Fragment, Package, Resource, Unit
from groundplane.topology.model import Machine, Topology

RENEW: Final = "groundplane-renew"
MEND: Final = "groundplane-mend"
APPROVE: Final = "groundplane-approve"
TURN: Final = 6
"""Minutes between two control planes' turns, of which there are nine at most. A run has four (``service.j2``), and
systemd another one and a half to end it."""
CERTIFICATES: Final = "/etc/groundplane/renewal/certificates.json"
NODES: Final = "/etc/groundplane/renewal/nodes.json"
INTERRUPTS: Final[Mapping[str, str]] = dict.fromkeys(
    (f"{RENEW}.timer", f"{MEND}.timer", f"{APPROVE}.timer"), "nobody: it begins to count anew"
)
_PROGRAMS: Final = "/usr/lib/groundplane"
RENEW_PROGRAM: Final = (Path(__file__).parent / "remote" / "renew.py").read_text()


def fragment(topology: Topology, machine: Machine) -> Fragment | None:
    if not machine.has(Role.CONTROL_PLANE):
        return None
    # By default systemd may be a minute late.
    turn = f"OnCalendar=*:{TURN * topology.control_planes.index(machine):02}:00 UTC\nAccuracySec=1s"
    often = "OnBootSec=1min\nOnUnitActiveSec=2min"
    renew = f"{_PROGRAMS}/renew.py"
    return Fragment(
        "renewal",
        (
            Package("openssl"),
            Package("python3"),
            File(renew, RENEW_PROGRAM.encode(), mode=0o755),
            File(f"{_PROGRAMS}/approve.py", APPROVE_PROGRAM.encode(), mode=0o755),
            File(CERTIFICATES, wanted.certificates(topology, machine), mode=0o600),
            File(NODES, wanted.nodes(topology), mode=0o600),
            *_timed(RENEW, "Renewal of what kubeadm made", f"{renew} renew {CERTIFICATES}", turn),
            *_timed(MEND, "Renewal of what is over", f"{renew} mend {CERTIFICATES}", "OnBootSec=2min"),
            *_timed(APPROVE, "Approval of kubelets' certificates", f"{_PROGRAMS}/approve.py {NODES}", often),
        ),
    )


def _timed(name: str, title: str, command: str, when: str) -> tuple[Resource, ...]:
    """A service, and the timer that starts it."""
    service, timer = f"/etc/systemd/system/{name}.service", f"/etc/systemd/system/{name}.timer"
    values = {"title": title, "command": command, "when": when}
    environment = templates(__file__)
    return (
        File(service, environment.get_template("service.j2").render(values).encode()),
        File(timer, environment.get_template("timer.j2").render(values).encode()),
        Unit(f"{name}.service", enabled=False, active=None),
        Unit(f"{name}.timer", reads=(timer,)),
    )
