"""What would be done to make a platform as its file says, as data: ``plan`` shows what ``apply`` carries out. Pure.

In which order is said in ``order.py``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from groundplane.rollout.turns import turns
from groundplane.spec.roles import Role
from groundplane.state.change import Action, Change, Findings, Kind, Refused
from groundplane.topology.model import Machine, Topology

INTERRUPTING: Final = (Action.RESTART, Action.RELOAD, Action.STOP, Action.DISABLE, Action.MASK)
"""What may be felt by whoever uses a unit. A reload of HAProxy isn't felt, and its unit's words say nothing of it."""


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
class Resize:
    """A machine whose size isn't the file's, and what it has instead. It is given the right one and goes on running."""

    machine: str
    seen: str


@dataclass(frozen=True, slots=True)
class StepPlan:
    """A Step that does not hold and would be carried out. ``seen`` is what is there instead, ``since`` when that came
    to be (seconds since 1970, UTC), as far as anybody knows; ``diff``, where it is about texts, a unified diff from
    what is there to what should be. ``waits``: machines that are off or missing, without which nobody can ask.
    ``restarts``: its machine is switched off and on for it."""

    name: str
    machine: str
    why: str
    seen: str = ""
    since: float | None = None
    diff: str = field(default="", repr=False)
    waits: tuple[str, ...] = ()
    restarts: bool = False


@dataclass(frozen=True, slots=True)
class Birth:
    """A machine that would be made. ``roles`` and ``address`` tell people what comes; ``why``, why it isn't there."""

    machine: str
    roles: tuple[str, ...]
    address: str
    why: str


@dataclass(frozen=True, slots=True)
class Removal:
    """A machine that would be removed with all its data. ``alive``: it runs, so it is emptied first. ``anew``: another
    one comes in its place."""

    machine: str
    why: str
    alive: bool
    roles: tuple[str, ...] = ()
    anew: bool = False


@dataclass(frozen=True, slots=True)
class Plan:
    """Everything that would be done. ``batches`` are worked on one after the other, the machines of one at once.

    ``edits`` are the keys of the cluster file that changed, in words. ``unverified``: the platform's checks did not
    hold when they were last asked, or weren't asked since it was last changed; they are asked again.
    ``newer_defaults`` are no difference: keys nobody wrote, that keep what the platform was built with, in words.
    """

    batches: tuple[tuple[MachinePlan, ...], ...] = ()
    steps: tuple[StepPlan, ...] = ()
    edits: tuple[str, ...] = ()
    births: tuple[Birth, ...] = ()
    removals: tuple[Removal, ...] = ()
    unverified: bool = False
    newer_defaults: tuple[str, ...] = ()
    sizes: tuple[Resize, ...] = ()

    @property
    def machines(self) -> tuple[MachinePlan, ...]:
        return tuple(machine for batch in self.batches for machine in batch)

    @property
    def empty(self) -> bool:
        """Whether the platform is as its file says."""
        found = (self.batches, self.steps, self.edits, self.births, self.removals, self.sizes)
        return not (any(found) or self.unverified)

    @property
    def needs_material(self) -> bool:
        """Whether the bundle and the base image must be at hand: a machine would be made or switched on, or a program
        delivered. Everything else, such as another time server, needs neither."""
        delivered = any(change.content for machine in self.machines for change in machine.changes)
        return bool(self.births or self.restarted) or delivered or any(machine.off for machine in self.machines)

    @property
    def restarted(self) -> tuple[str, ...]:
        """The machines that are switched off and on for a Step, by name. One that is made anew has today's already."""
        born = {birth.machine for birth in self.births}
        return tuple(dict.fromkeys(step.machine for step in self.steps if step.restarts and step.machine not in born))


@dataclass(frozen=True, slots=True)
class Found:
    """What was found on one machine: it isn't there, it is off, why it could not be asked, or what differs."""

    findings: Findings = field(default_factory=Findings)
    off: bool = False
    problem: str = ""
    absent: bool = False


@dataclass(frozen=True, slots=True)
class Leaving:
    """A machine that is there and should not be, or not as it is. ``anew``: one of its name comes in its place.

    ``known`` is False for one that its provider remembers nothing of: it never came so far that anybody counts on it.
    ``ails``: it lives, but what the others have of it doesn't work.
    """

    machine: Machine
    alive: bool
    anew: bool = False
    known: bool = True
    ails: bool = False

    @property
    def first(self) -> bool:
        """Whether it leaves before those that are well, and before anybody joins."""
        return self.ails or not self.alive


@dataclass(frozen=True, slots=True)
class Seen:
    """A platform as it was found: its machines by name, Steps that don't hold, machines that have to go, the balancer
    that has the floating address, whether its checks held when they were last asked, and machines of another size."""

    machines: Mapping[str, Found]
    steps: tuple[StepPlan, ...] = ()
    leaving: tuple[Leaving, ...] = ()
    holder: str | None = None
    verified: bool = True
    sizes: tuple[Resize, ...] = ()


def plan(topology: Topology, seen: Seen, *, edits: Sequence[str] = (), interrupts: Mapping[str, str]) -> Plan:
    """Put what was ``seen`` into the order that keeps the service up; machines where nothing differs are left out.

    ``interrupts`` says what a restart of a unit means.
    """
    anew = {leaving.machine.name for leaving in seen.leaving if leaving.anew}
    found = {name: one for name, one in seen.machines.items() if not one.absent and name not in anew}
    births = [machine for machine in topology.machines if machine.name in anew or _absent(seen, machine)]
    return Plan(
        batches=tuple(
            tuple(_machine_plan(machine.name, found[machine.name], interrupts) for machine in batch)
            for batch in turns(
                topology,
                [machine for machine in topology.machines if _differs(found, machine)],
                seen.holder,
                # Nobody may be sent any more to a control plane that goes.
                balancers_early=any(one.machine.has(Role.CONTROL_PLANE) and not one.anew for one in seen.leaving),
            )
        ),
        steps=seen.steps,
        edits=tuple(edits),
        births=tuple(
            Birth(
                machine.name,
                tuple(role.value for role in machine.roles),
                str(machine.address),
                "it is made anew" if machine.name in anew else "it isn't there",
            )
            for machine in births
        ),
        removals=tuple(
            Removal(
                one.machine.name,
                "it is made anew" if one.anew else "the file doesn't have it",
                one.alive,
                tuple(role.value for role in one.machine.roles) if one.known else (),
                one.anew,
            )
            for one in seen.leaving
        ),
        unverified=not seen.verified,
        sizes=tuple(one for one in seen.sizes if one.machine not in anew),
    )


def _absent(seen: Seen, machine: Machine) -> bool:
    return seen.machines.get(machine.name, Found()).absent


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
