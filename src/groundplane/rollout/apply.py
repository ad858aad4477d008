"""What an apply comes to, and why one doesn't begin."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from groundplane.errors import ApplyError
from groundplane.rollout.plan import Leaving, Plan
from groundplane.spec.roles import Role
from groundplane.state.step import Step
from groundplane.topology.model import Topology
from groundplane.verify.report import Report


@dataclass(frozen=True, slots=True)
class Applied:
    """What an apply came to: the plan it carried out, how many changes that were, and the checks after it (None where
    nothing had to be done)."""

    plan: Plan
    changes: int = 0
    report: Report | None = None


def refuse(plan: Plan, agreed: Plan | None = None, remembered: Plan | None = None) -> None:
    """Raise ApplyError, before anything is touched, where ``plan`` can't be carried out: a machine can't be asked,
    a machine would refuse what it is given, or the plan isn't any more the one that was ``agreed`` to. ``remembered``
    is the plan with the programs that the platform remembers, where those at hand may be others."""
    for machine in plan.machines:
        if machine.problem:
            raise ApplyError(
                f"it can't be asked: {machine.problem}",
                where=machine.machine,
                hint="nothing was touched; bring it back (`groundplane stop`, then `start`), and run this again",
            )
    for machine in plan.machines:
        for refused in machine.refused:
            raise ApplyError(
                f"{refused.change.key}: {refused.problem}",
                where=machine.machine,
                hint="; ".join(filter(None, (refused.hint, "nothing was touched, on this machine or any other"))),
                detail=refused.detail,
            )
    if agreed is None or _essence(agreed) == _essence(plan):
        return
    if remembered is not None and _essence(agreed) == _essence(remembered):
        raise ApplyError(
            "today's bundle has other programs than the platform remembers, and this plan was shown without them",
            hint="nothing was touched; `groundplane plan` shows what they change, `groundplane apply` again brings it "
            "about",
        )
    raise ApplyError("the platform has changed since this plan was shown", hint="nothing was touched; look again")


def refuse_leaving_nobody(steps: Sequence[Step], plan: Plan) -> None:
    """Raise ApplyError where machines would go while those that stay have not what the platform began with: it would be
    begun anew on them, and what it was would go with those that leave."""
    missing = {step.name for step in plan.steps}
    gone = [one.machine for one in plan.removals if one.roles]
    for step in steps:
        if step.founds and step.name in missing and gone:
            raise ApplyError(
                f"{', '.join(gone)} can't go while the machines that stay don't answer for the cluster: {step.name}",
                hint="nothing was touched; start a control plane that stays, or let new ones join by an `apply` of "
                "their own before the old ones go",
            )


def refuse_many_balancers(topology: Topology, plan: Plan, former: Collection[str]) -> None:
    """Raise ApplyError where more than one balancer would come or go, or none would stay.

    Each balancer counts votes by its own list of them. While two lists differ by one machine, no two halves can each be
    a majority; by two they can, and then the floating address has two holders. One of the ``former`` machines that is
    born again was on the lists all along.
    """
    born = {one.machine for one in plan.births if Role.BALANCER.value in one.roles} - set(former)
    gone = [one.machine for one in plan.removals if Role.BALANCER.value in one.roles and not one.anew]
    stay = [machine for machine in topology.balancers if machine.name not in born]
    if len(born) + len(gone) > 1 or (gone and not stay):
        raise ApplyError(
            f"more than one balancer would come or go: {', '.join([*sorted(born), *gone])}",
            hint="nothing was touched; change the balancers one at a time, with an `apply` for each, and let one stay",
        )


def refuse_two_of_one_address(topology: Topology, plan: Plan, going: Sequence[Leaving]) -> None:
    """Raise ApplyError where a machine would be made with the address or the card of another one that leaves alive: the
    new one comes before the old one has gone."""
    for birth in plan.births:
        comes = topology.machine(birth.machine)
        for one in going:
            goes = one.machine
            if one.alive and not one.anew and (goes.address == comes.address or goes.mac == comes.mac):
                raise ApplyError(
                    f"{comes.name} would be made while {goes.name}, which leaves, still has its card or address",
                    where=comes.name,
                    hint="nothing was touched; state another `address` for it (and `mac`, where it states one), or "
                    f"take {goes.name} out with an `apply` of its own first",
                )


def _essence(plan: Plan) -> object:
    """What somebody agrees to: not when a difference began or what a Step sees meanwhile."""
    machines = [
        (m.machine, m.off, [(c.kind, c.key, c.action, c.diff, c.content) for c in m.changes]) for m in plan.machines
    ]
    steps = [(step.name, step.diff) for step in plan.steps]
    return machines, steps, plan.edits, plan.births, plan.removals, plan.sizes
