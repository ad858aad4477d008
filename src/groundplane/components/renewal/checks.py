"""How we know that what has to happen by itself does."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from groundplane.components.everywhere import everywhere
from groundplane.components.renewal.fragment import APPROVE, MEND, RENEW
from groundplane.state.step import Reach
from groundplane.topology.model import Machine, Topology
from groundplane.verify.check import RECOVERY, Check
from groundplane.verify.condition import NotYet

_WANTED: Final[Mapping[str, str]] = {
    f"{name}.{kind}": wanted
    for name in (RENEW, MEND, APPROVE)
    for kind, wanted in (("timer", "ActiveState=active"), ("service", "Result=success"))
}


def checks(topology: Topology) -> tuple[Check, ...]:
    async def probe(reach: Reach) -> str:
        async def ask(machine: Machine) -> None:
            argv = ("systemctl", "show", "--property=Id,ActiveState,Result", *_WANTED)
            answer = await reach.run(machine.name, argv, timeout=15)
            if wrong := amiss(answer.text):
                raise NotYet(wrong)

        count = await everywhere(topology.control_planes, ask)
        return f"{count} control planes renew and approve"

    return (
        Check(
            "renewal",
            "control planes renew their certificates, and approve their nodes', by themselves",
            RECOVERY,
            "`groundplane apply` switches the timers on; where a run failed, `journalctl -u groundplane-renew -u "
            "groundplane-mend -u groundplane-approve` on that control plane tells why, and the next one may do",
            probe,
        ),
    )


def amiss(shown: str) -> str:
    """What ``systemctl show`` says of the timers and services that isn't as it should be; empty where all is."""
    blocks = [block.splitlines() for block in shown.split("\n\n")]
    seen = {line.partition("=")[2]: block for block in blocks for line in block if line.startswith("Id=")}
    wrong = [name for name, wanted in _WANTED.items() if wanted not in seen.get(name, ())]
    return ", ".join(f"{name} {'is not running' if name.endswith('timer') else 'failed'}" for name in wrong)
