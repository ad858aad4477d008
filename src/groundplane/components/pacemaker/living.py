"""The configuration as it lives: read it from any balancer that is up, and change it there in one transaction."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from groundplane.components.pacemaker.configuration import Comparison, compare
from groundplane.components.pacemaker.fragment import NEWEST_FEATURES, cib
from groundplane.components.pacemaker.status import ClusterView, seen_by
from groundplane.errors import StepError, TransportError
from groundplane.state.step import Completed, Reach
from groundplane.topology.model import Topology
from groundplane.verify.condition import NotYet, wait_until

PATIENCE = 30.0
"""Seconds for one of Pacemaker's tools."""
READY = 90.0
"""Seconds until a Pacemaker that was just started may know that it has a majority."""
SETTLE = 90
"""Seconds for what Pacemaker then stops and starts: a stop and a start may take 30 s and 60 s."""

_PATCH = """\
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
head -c "$1" > "$folder/found"
cat > "$folder/wanted"
status=0
crm_diff --original "$folder/found" --new "$folder/wanted" > "$folder/patch" || status=$?
[ "$status" -le 1 ] || exit "$status"
[ -s "$folder/patch" ] || exit 0
cibadmin --patch --sync-call --xml-file "$folder/patch"
"""
"""Pacemaker itself says what differs between the two, and takes it only while its configuration is still the first."""


@dataclass(frozen=True, slots=True)
class Living:
    """The configuration as ``balancer`` has it (XML), and the cluster as it sees it."""

    balancer: str
    cib: bytes
    view: ClusterView


async def awaited(reach: Reach, topology: Topology) -> Living:
    """The same, given time: Pacemaker elects who decides after it started, and after a balancer came or went."""
    found: list[Living] = []

    async def once() -> None:
        found.append(await living(reach, topology))

    await wait_until("a balancer's Pacemaker answers with a majority", once, deadline=READY, where="platform")
    return found[-1]


async def living(reach: Reach, topology: Topology) -> Living:
    """Ask the balancers, in order, until one that has a majority answers; StepError with all their words otherwise.

    One without a majority may remember what is no longer so, and may change nothing.
    """
    seen: list[str] = []
    for machine in topology.balancers:
        try:
            view = await seen_by(reach, machine.name)
            if not view.quorate:
                raise NotYet("no quorum")
            found = await reach.run(machine.name, ["cibadmin", "--query"], timeout=PATIENCE)
        except (TransportError, NotYet) as error:
            seen.append(f"{machine.name}: {error}")
            continue
        return Living(machine.name, found.stdout, view)
    raise StepError(
        "no balancer's Pacemaker answers with a majority",
        where="platform",
        hint="see `groundplane status`; `crm_mon -1` and `journalctl -u pacemaker` on a balancer tell more",
        detail="\n".join(seen),
    )


def comparison(found: Living, topology: Topology) -> Comparison:
    """How ``found`` differs from what ``topology`` wants."""
    newest = bool(found.view.features) and min(found.view.features) >= NEWEST_FEATURES
    return compare(found.cib, cib(topology), newest=newest)


async def replace(reach: Reach, found: Living, target: bytes) -> None:
    """Make ``target`` of what was ``found``, in one transaction; StepError where that is no longer there."""
    argv = ["sh", "-c", _PATCH, "patch", str(len(found.cib))]
    answer = await reach.run(found.balancer, argv, stdin=found.cib + target, timeout=PATIENCE, check=False)
    if answer.status != 0:
        raise StepError(
            "Pacemaker did not take its configuration",
            where=found.balancer,
            hint="somebody may have changed it at the same moment: run the same command again",
            detail=_words(answer),
        )


async def settled(reach: Reach, balancer: str) -> None:
    """Wait until Pacemaker has nothing left to do; StepError where it doesn't come to an end."""
    argv: Sequence[str] = ["crm_resource", "--wait", f"--timeout={SETTLE}s"]
    answer = await reach.run(balancer, argv, timeout=SETTLE + PATIENCE, check=False)
    if answer.status != 0:
        raise StepError(
            f"Pacemaker took its configuration, but didn't come to rest within {SETTLE} s",
            where=balancer,
            hint="see `crm_mon -1` and `journalctl -u pacemaker` on a balancer",
            detail=_words(answer),
        )


async def forget(reach: Reach, balancer: str, name: str) -> None:
    """Have Pacemaker forget a balancer that is gone: its entry, its history and its attributes."""
    answer = await reach.run(balancer, ["crm_node", "--force", f"--remove={name}"], timeout=PATIENCE, check=False)
    if answer.status != 0:
        raise StepError(
            f"Pacemaker doesn't forget {name}",
            where=balancer,
            hint=f"it can't while {name} is a member still: see `corosync-quorumtool` on {balancer}",
            detail=_words(answer),
        )


def _words(answer: Completed) -> str:
    return (answer.stderr or answer.stdout).decode(errors="replace").strip()[-500:]
