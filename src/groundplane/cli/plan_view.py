"""A plan, as text and as a document."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from groundplane.cli.output import Channel, counted

if TYPE_CHECKING:
    from groundplane.rollout.plan import MachinePlan, Plan, StepPlan
    from groundplane.state.change import Change

MARKS: Final[Mapping[str, str]] = {"create": "+", "remove": "-"}
"""What stands before a change; ~ before all others."""
STYLES: Final[Mapping[str, str]] = {"+": "good", "-": "bad", "@": "hint"}


def plan_document(plan: Plan) -> dict[str, object]:
    """See docs/json.md, groundplane/plan/v1."""
    return {
        "changed": not plan.empty,
        "edits": plan.edits,
        "batches": [[_machine_document(machine) for machine in batch] for batch in plan.batches],
        "steps": [
            {
                "name": step.name,
                "machine": step.machine,
                "why": step.why,
                "seen": step.seen,
                "since": moment(step.since),
                "diff": step.diff,
            }
            for step in plan.steps
        ],
        "births": plan.births,
        "removals": plan.removals,
        "sizes": plan.sizes,
        "unverified": plan.unverified,
        "newer_defaults": plan.newer_defaults,
    }


def _machine_document(machine: MachinePlan) -> dict[str, object]:
    return {
        "machine": machine.machine,
        "off": machine.off,
        "problem": machine.problem,
        "changes": [_change_document(change) for change in machine.changes],
        "refused": [
            {"key": refused.change.key, "problem": refused.problem, "hint": refused.hint, "detail": refused.detail}
            for refused in machine.refused
        ],
        "interruptions": machine.interruptions,
    }


def _change_document(change: Change) -> dict[str, object]:
    return {
        "kind": change.kind,
        "key": change.key,
        "action": change.action,
        "why": change.why,
        "diff": change.diff,
        "since": moment(change.since),
    }


def moment(since: float | None) -> datetime | None:
    """Seconds since 1970 as a time, whole seconds, UTC."""
    return None if since is None else datetime.fromtimestamp(int(since), UTC)


def plan_lines(plan: Plan, channel: Channel, *, diffs: bool = True) -> Iterator[str]:
    """The whole plan: what the file asks for anew, each machine with its changes in order, the Steps, and a count."""
    if plan.edits:
        yield channel.style("the cluster file", "name")
        for edit in plan.edits:
            yield f"  ~ {edit}"
    for removal in plan.removals:
        how = "it leaves" if removal.alive else "it doesn't run"
        name = channel.style(removal.machine, "name")
        yield f"{channel.style('-', 'bad')} {name}: {how} and is removed with all its data; {removal.why}"
    for birth in plan.births:
        what = f"{', '.join(birth.roles)} at {birth.address}"
        yield f"{channel.style('+', 'good')} {channel.style(birth.machine, 'name')}: it is made ({what}); {birth.why}"
    for resize in plan.sizes:
        yield f"~ {channel.style(resize.machine, 'name')}: it has {resize.seen}; its size is given anew while it runs"
    for machine in plan.machines:
        yield channel.style(machine.machine, "name")
        yield from _machine_lines(machine, channel, diffs=diffs)
    if plan.steps:
        yield channel.style("steps", "name")
        for step in plan.steps:
            yield from _step_lines(step, channel, diffs=diffs)
    for newer in plan.newer_defaults:
        yield channel.style(f"newer default: {newer}", "dim")
    if plan.unverified:
        yield f"{channel.style('checks', 'name')}: not all held when they were last asked; they are asked again"
    yield summary(plan)


def _machine_lines(machine: MachinePlan, channel: Channel, *, diffs: bool) -> Iterator[str]:
    if machine.off:
        yield f"  {channel.style('is off', 'warn')}: it is switched on first; what else differs is seen then"
    if machine.problem:
        yield f"  {channel.style('cannot be asked', 'bad')}: {machine.problem}"
    for change in machine.changes:
        yield f"  {change_line(change, channel)}"
        if diffs:
            yield from _diff_lines(change.diff, channel)
    for refused in machine.refused:
        yield f"  {channel.style('refused', 'bad')}: {refused.change.key}: {refused.problem}"
        for line in refused.detail.splitlines():
            yield f"      {line}"
    for interruption in machine.interruptions:
        words = interruption.words or "whoever uses it"
        yield f"  {channel.style('interrupts', 'warn')} ({interruption.action.value} {interruption.unit}): {words}"


def _diff_lines(diff: str, channel: Channel) -> Iterator[str]:
    for line in diff.splitlines():
        yield f"      {channel.style(line, STYLES[line[0]]) if line[:1] in STYLES else line}"


def change_line(change: Change, channel: Channel) -> str:
    mark = MARKS.get(change.action.value, "~")
    when = f", since {local(change.since)}" if change.since is not None else ""
    return f"{mark} {change.kind.value} {channel.style(change.key, 'name')}: {change.action.value}; {change.why}{when}"


def _step_lines(step: StepPlan, channel: Channel, *, diffs: bool) -> Iterator[str]:
    yield f"  ~ {channel.style(step.name, 'name')}: {step.why}"
    if step.seen:
        when = f", since {local(step.since)}" if step.since is not None else ""
        yield channel.style(f"      now: {step.seen}{when}", "dim")
    if diffs:
        yield from _diff_lines(step.diff, channel)


def local(since: float) -> str:
    """A moment in this computer's own time."""
    return datetime.fromtimestamp(since, UTC).astimezone().strftime("%Y-%m-%d %H:%M:%S")


def summary(plan: Plan) -> str:
    """How much it is, in one line."""
    changes = sum(len(machine.changes) for machine in plan.machines)
    found = (
        (changes, "change", f" on {counted(sum(1 for m in plan.machines if m.changes), 'machine')}"),
        (sum(machine.off for machine in plan.machines), "machine", " off"),
        (sum(bool(machine.problem) for machine in plan.machines), "machine", " that can't be asked"),
        (len(plan.steps), "step", " to carry out"),
        (len(plan.edits), "edit", " of the cluster file"),
        (len(plan.births), "machine", " to make"),
        (len(plan.removals), "machine", " to remove"),
        (len(plan.sizes), "machine", " of another size"),
    )
    words = [f"{counted(count, noun)}{rest}" for count, noun, rest in found if count]
    if plan.unverified:
        words.append("checks to be asked again")
    return "; ".join(words) if words else "nothing differs"
