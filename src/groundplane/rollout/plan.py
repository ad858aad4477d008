"""What would be done to make a platform as its file says, as data: ``plan`` shows what ``apply`` carries out. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from groundplane.spec.model import Role
from groundplane.state.change import Action, Change, Findings, Kind, Refused
from groundplane.topology.model import Machine, Topology

INTERRUPTING: Final = (Action.RESTART, Action.RELOAD, Action.STOP, Action.DISABLE, Action.MASK)
"""What may be felt by whoever uses a unit. A reload of HAProxy isn't felt, and its unit's words say nothing of it."""

WORKERS_AT_ONCE: Final = 0.1
"""The share of the workers that is worked on at a time; at least one."""


@dataclass(frozen=True, slots=True)
class Interruption:
    """A unit that stops for a moment, and what that means for others."""

    unit: str
    action: Action
    words: str


@dataclass(frozen=True, slots=True)
class MachinePlan:
    """What would be done to one machine.

    ``refused`` are changes it won't take. ``off``: it has to be switched on first, and what else differs is seen only
    then. ``problem``: why it could not be asked although it is on; nothing can be done to it then.
    """

    machine: str
    changes: tuple[Change, ...] = ()
    refused: tuple[Refused, ...] = ()
    interruptions: tuple[Interruption, ...] = ()
    off: bool = False
    problem: str = ""


@dataclass(frozen=True, slots=True)
class StepPlan:
    """A Step that does not hold and would be carried out. ``seen`` is what is there instead, ``since`` when that came
    to be (seconds since 1970, UTC), as far as anybody knows."""

    name: str
    machine: str
    why: str
    seen: str = ""
    since: float | None = None


@dataclass(frozen=True, slots=True)
class Plan:
    """Everything that would be done. ``batches`` are worked on one after the other, the machines of one at once.

    ``edits`` are the keys of the cluster file that changed, in words.
    """

    batches: tuple[tuple[MachinePlan, ...], ...] = ()
    steps: tuple[StepPlan, ...] = ()
    edits: tuple[str, ...] = ()

    @property
    def machines(self) -> tuple[MachinePlan, ...]:
        return tuple(machine for batch in self.batches for machine in batch)

    @property
    def empty(self) -> bool:
        """Whether the platform is as its file says."""
        return not (self.batches or self.steps or self.edits)


@dataclass(frozen=True, slots=True)
class Found:
    """What was found on one machine, or that it is off, or why it could not be asked."""

    findings: Findings = field(default_factory=Findings)
    off: bool = False
    problem: str = ""


def plan(
    topology: Topology,
    found: Mapping[str, Found],
    steps: Sequence[StepPlan],
    *,
    edits: Sequence[str] = (),
    holder: str | None = None,
    interrupts: Mapping[str, str],
) -> Plan:
    """Put what was ``found`` into the order that keeps the service up; machines where nothing differs are left out.

    ``holder`` is the balancer that has the floating address: it comes after the other one. ``interrupts`` says what a
    restart of a unit means.
    """
    return Plan(
        batches=tuple(
            tuple(_machine_plan(machine.name, found[machine.name], interrupts) for machine in batch)
            for batch in _batches(
                topology, [machine for machine in topology.machines if _differs(found, machine)], holder
            )
        ),
        steps=tuple(steps),
        edits=tuple(edits),
    )


def _differs(found: Mapping[str, Found], machine: Machine) -> bool:
    return found.get(machine.name, Found()) != Found()


def _machine_plan(machine: str, found: Found, interrupts: Mapping[str, str]) -> MachinePlan:
    interruptions = tuple(
        Interruption(change.key, change.action, interrupts.get(change.key, ""))
        for change in found.findings.changes
        if change.kind is Kind.UNIT and change.action in INTERRUPTING
    )
    findings = found.findings
    return MachinePlan(machine, findings.changes, findings.refused, interruptions, found.off, found.problem)


def _batches(topology: Topology, machines: Sequence[Machine], holder: str | None) -> Iterable[tuple[Machine, ...]]:
    """The gateway, on which all others lean; workers, a share at a time; control planes one by one; the balancers one
    by one, the one with the floating address last: by then the other has proven itself."""
    of_role: dict[Role, list[Machine]] = {role: [] for role in Role}
    for machine in machines:
        of_role[machine.role].append(machine)
    for machine in of_role[Role.GATEWAY]:
        yield (machine,)
    workers, share = of_role[Role.WORKER], max(1, int(len(topology.workers) * WORKERS_AT_ONCE))
    for begin in range(0, len(workers), share):
        yield tuple(workers[begin : begin + share])
    for machine in of_role[Role.CONTROL_PLANE]:
        yield (machine,)
    for machine in sorted(of_role[Role.BALANCER], key=lambda machine: machine.name == holder):
        yield (machine,)
