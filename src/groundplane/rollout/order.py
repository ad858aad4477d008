"""In which order a plan is carried out, as data: what each act needs to be done before it. Pure.

    the gateway, on which all others lean        machine:gateway → change:gateway
    what is switched off and on for a Step       machine:NAME    (one after the other, before all that follows)
    machines that are off, and new ones          machine:NAME    (a new balancer after the standing ones know of it)
    whether who leaves can be done without       without:NAME    (where a start shows it: nothing but starts is before)
    what leaves                                  Steps of its components, then remove:NAME
    what was taken from machines in use          Steps that mend, where what helps them was seen to hold
    what changes                                 change:NAME, one batch of the plan after the other
    Steps                                        as they say themselves

What leaves, leaves before the others change: their checks then judge the platform as the file has it. Who has died
or ails leaves before anybody joins, and who is well after everybody has joined, so that etcd never has fewer healthy
members than it must. Balancers are told before a control plane goes: first nobody is sent there any more.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field
from functools import cached_property

from groundplane.rollout.plan import Leaving, Plan
from groundplane.spec.roles import Role
from groundplane.state.step import Step
from groundplane.topology.model import Machine, Topology


def machine_act(machine: str) -> str:
    """The act that brings a machine up: made, started (again, where a Step asks for that), first boot done."""
    return f"machine:{machine}"


def change_act(machine: str) -> str:
    """The act that makes a machine as its state says."""
    return f"change:{machine}"


def remove_act(machine: str) -> str:
    """The act that removes a machine with all its data."""
    return f"remove:{machine}"


def without_act(machine: str) -> str:
    """The act that asks whether the others can do without a machine that goes."""
    return f"without:{machine}"


def in_turn(steps: Iterable[Step]) -> list[Step]:
    """The Steps by which one machine leaves, as they come one after the other."""
    return sorted(steps, key=lambda step: not step.early)


def order(
    topology: Topology,
    plan: Plan,
    steps: Sequence[Step],
    leaving: Sequence[tuple[Leaving, Sequence[Step]]] = (),
    asking: Collection[str] = (),
) -> dict[str, tuple[str, ...]]:
    """What each act needs, by the act's name: for every machine of ``topology``, the changes of ``plan``, ``steps``,
    and what is ``leaving``, each with the Steps by which it leaves. ``asking`` are the machines of these of which it is
    asked first whether the others can do without them."""
    draft = _Draft(topology, plan, tuple(steps), tuple(leaving))
    for machine in topology.machines:
        draft.boot(machine)
    for batch in plan.batches:
        draft.change([machine.machine for machine in batch])
    for one, its_steps in leaving:
        draft.leave(one, its_steps)
    for step in steps:
        draft.step(step)
    draft.ask([without_act(name) for name in asking])
    return {name: tuple(dict.fromkeys(need for need in found if need != name)) for name, found in draft.needs.items()}


@dataclass
class _Draft:
    topology: Topology
    plan: Plan
    steps: tuple[Step, ...]
    leaving: tuple[tuple[Leaving, Sequence[Step]], ...]
    needs: dict[str, list[str]] = field(default_factory=dict)
    before: list[str] = field(default_factory=list)

    @cached_property
    def changing(self) -> set[str]:
        return {machine.machine for machine in self.plan.machines}

    @cached_property
    def fresh(self) -> set[str]:
        return {birth.machine for birth in self.plan.births}

    @cached_property
    def mending(self) -> list[str]:
        """The Steps that bring back what was taken, and can: they wait for nothing but the gateway."""
        missing = {step.name for step in self.plan.steps}
        return [
            step.name
            for step in self.steps
            if step.mends is not None
            and step.name in missing
            and missing.isdisjoint(step.mends)
            and step.machine not in self.fresh
        ]

    @cached_property
    def standing(self) -> list[str]:
        """The acts that bring up what was there before."""
        return [machine_act(machine.name) for machine in self.topology.machines if machine.name not in self.fresh]

    @cached_property
    def balancers(self) -> tuple[Machine, ...]:
        return self.topology.balancers

    @cached_property
    def joins(self) -> list[str]:
        """The Steps of new control planes."""
        new = {machine.name for machine in self.topology.control_planes if machine.name in self.fresh}
        return [step.name for step in self.steps if step.machine in new and not step.tidies]

    def changes(self, machines: Iterable[Machine]) -> list[str]:
        return [change_act(machine.name) for machine in machines if machine.name in self.changing]

    def gone(self, *, first: bool, role: Role | None = None) -> list[Leaving]:
        return [one for one, _ in self.leaving if one.first is first and (role is None or one.machine.has(role))]

    def boot(self, machine: Machine) -> None:
        """After the gateway, and after those that are switched off and on: whoever else is worked on needs them."""
        gateway = self.topology.gateway
        first = [machine_act(name) for name in dict.fromkeys((gateway.name, *self.plan.restarted))]
        own = machine_act(machine.name)
        needs = first[: first.index(own)] if own in first else first
        if machine.name in self.fresh:
            needs += self.changes([gateway] if machine != gateway else [])
            if machine.has(Role.BALANCER):
                needs += self.changes(self.balancers)
            needs += [remove_act(one.machine.name) for one, _ in self.leaving if one.machine.name == machine.name]
        self.needs[machine_act(machine.name)] = needs

    def change(self, batch: Sequence[str]) -> None:
        """After the batch before it, after all that stood is on, and after what leaves has left."""
        gateway = self.topology.gateway.name
        acts = []
        for name in batch:
            needs = [machine_act(name), *self.before]
            machine = self.topology.machine(name)
            if name != gateway:
                needs += self.standing
                needs += [*self._departures(machine), *self.mending]
            elif machine.has(Role.BALANCER, Role.CONTROL_PLANE):
                needs += self._departures(machine)
            self.needs[change_act(name)] = needs
            acts.append(change_act(name))
        self.before = acts

    def _departures(self, machine: Machine) -> list[str]:
        """What a change of ``machine`` waits for of those that go.

        A balancer waits until another one is gone: two must never count their votes by different lists. Of a control
        plane it is told before that one goes, and waits for its early Steps alone; those end its Corosync too, where
        it is a balancer as well.
        """
        needs = []
        for one, steps in self.leaving:
            if one.anew:
                continue
            joins = not one.first and bool(self.joins)
            if (machine.has(Role.BALANCER) or joins) and one.machine.has(Role.CONTROL_PLANE):
                needs += [step.name for step in steps if step.early]
            else:
                needs.append(remove_act(one.machine.name))
        return needs

    def leave(self, one: Leaving, steps: Sequence[Step]) -> None:
        machine = one.machine
        # Nobody is switched on without a gateway, so its own going waits for nobody.
        standing = [] if machine.has(Role.GATEWAY) else self.standing
        told = list(standing)
        if machine.has(Role.CONTROL_PLANE):
            told += [*self.changes(self.balancers), *self._turn(one)]
            if not one.first and not one.anew:
                told += self.joins
        last: list[str] = []
        for step in in_turn(steps):
            self.needs[step.name] = [*(standing if step.early else told), *step.needs, *last]
            last = [step.name]
        self.needs[remove_act(machine.name)] = [*told, *last]

    def _turn(self, one: Leaving) -> list[str]:
        """Control planes leave one by one, those that died or ail first."""
        members = [*self.gone(first=True, role=Role.CONTROL_PLANE), *self.gone(first=False, role=Role.CONTROL_PLANE)]
        earlier = members[: members.index(one)]
        return [remove_act(other.machine.name) for other in earlier[-1:]]

    def step(self, step: Step) -> None:
        machines = [self.topology.machine(name) for name in step.needs_machines]
        if step.name in self.mending:
            gateway = self.topology.gateway
            first = bool(self.plan.batches) and self.plan.batches[0][0].machine == gateway.name
            self.needs[step.name] = [*map(machine_act, step.needs_machines), *self.changes([gateway] if first else [])]
            return
        needs = [*step.needs, *(machine_act(machine.name) for machine in machines), *self.changes(machines)]
        if step.machine in self.fresh:
            needs += [remove_act(one.machine.name) for one in self.gone(first=True)]
        if step.tidies:
            needs += [remove_act(one.machine.name) for one, _ in self.leaving]
        self.needs[step.name] = needs

    def ask(self, acts: Sequence[str]) -> None:
        """Once all that stood is on, and before whatever that doesn't need."""
        before, todo = set(self.standing), [*self.standing]
        while todo:
            new = set(self.needs.get(todo.pop(), ())) - before
            before |= new
            todo += new
        for name in self.needs.keys() - before:
            self.needs[name] += acts
        self.needs |= {act: [*self.standing] for act in acts}
