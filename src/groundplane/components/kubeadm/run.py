"""Running kubeadm so that losing the connection, or this program, never cuts it in half.

It runs as a transient systemd unit of the machine: two never run at once, it goes on without us, its words are
in a file, and what a join needed is removed when it ends, however it ends.
"""

from __future__ import annotations

import re

from groundplane.components.cluster import paths
from groundplane.components.kubeadm.facts import look
from groundplane.errors import StepError, TransportError
from groundplane.state.step import Reach
from groundplane.topology.model import Machine, Topology
from groundplane.verify.condition import NotYet, wait_until

_TOKEN = re.compile(r"\b[a-z0-9]{6}\.[a-z0-9]{16}\b")


def redact(text: str) -> str:
    """Replace whatever looks like a bootstrap token."""
    return _TOKEN.sub("***", text)


async def idle(reach: Reach, topology: Topology, machine: Machine, *, deadline: float) -> bool:
    """Wait until no kubeadm of an earlier run goes on; return whether one did."""
    met = False

    async def probe() -> None:
        nonlocal met
        facts = await look(reach, topology, machine)
        if facts.kubeadm or facts.preparing:
            met = True
            raise NotYet("it still runs")

    await wait_until(
        "the kubeadm of an earlier run ends",
        probe,
        deadline=deadline,
        every=1,
        where=machine.name,
        hint=f"`systemctl status '{paths.UNIT}*'` on {machine.name} shows what it does",
    )
    return met


async def kubeadm(reach: Reach, machine: str, *arguments: str, deadline: float, unit: str = paths.UNIT) -> None:
    """Run kubeadm with ``arguments`` on ``machine``; StepError with its last words when it fails.

    UMask: what it writes (credentials, the kubelet's configuration) is for root alone.
    """
    argv = (
        "systemd-run",
        "--quiet",
        "--wait",
        "--collect",
        f"--unit={unit}",
        "--property=Type=exec",
        "--property=UMask=0077",
        f"--property=RuntimeMaxSec={deadline:.0f}",
        # Appended to: `truncate:` would empty it once more for what follows kubeadm's end.
        f"--property=StandardOutput=append:{paths.LOG}",
        "--property=StandardError=inherit",
        # A join's credentials, and those above all permissions that `init` leaves, however it was ended.
        f"--property=ExecStopPost=/bin/rm -f {paths.DISCOVERY} {paths.SUPER_ADMIN}",
        "/usr/local/bin/kubeadm",
        *arguments,
    )
    # A unit of this name that failed and was kept would be in the way.
    first = f"systemctl reset-failed {unit}.service 2>/dev/null; exec install -d -m 0700 {paths.RUN}"
    await reach.run(machine, ("sh", "-c", first))
    try:
        await reach.run(machine, argv, timeout=deadline + 15)
    except TransportError as error:
        raise StepError(
            f"`kubeadm {' '.join(arguments[:1])}` did not end well",
            where=machine,
            hint=f"running the command again goes on; the whole log is {paths.LOG} on {machine}",
            detail=await _last_words(reach, machine) or redact(error.detail or error.what),
        ) from None


async def _last_words(reach: Reach, machine: str) -> str:
    try:
        answer = await reach.run(machine, ("tail", "-n", "40", paths.LOG), check=False, timeout=15)
    except TransportError:
        return ""
    return redact(answer.text)
