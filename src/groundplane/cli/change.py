"""Commands that keep a standing platform true to its file."""

from __future__ import annotations

from datetime import UTC, datetime
from time import monotonic
from typing import TYPE_CHECKING, Annotated

import typer

from groundplane.cli import exits
from groundplane.cli.output import duration
from groundplane.cli.plan_view import change_line, local, plan_document, plan_lines, summary
from groundplane.cli.platform import PANEL, agree
from groundplane.cli.report_view import report_document, report_lines
from groundplane.cli.root import need_root
from groundplane.cli.session import Session, command
from groundplane.cli.standing import standing, wanted

if TYPE_CHECKING:
    from groundplane.cli.output import Channel
    from groundplane.rollout.apply import Applied
    from groundplane.rollout.plan import Birth, Plan, Removal
    from groundplane.spec.model import ClusterSpec


def register(app: typer.Typer) -> None:
    """Add these commands to ``app``."""
    command(app, "plan", panel=PANEL, json=True, compares=True)(plan)
    command(app, "apply", panel=PANEL, json=True)(apply)
    command(app, "drift", panel=PANEL, json=True, compares=True)(drift)


def plan(session: Session) -> None:
    """Show what `apply` would change, machine by machine, and what that interrupts. Changes nothing.

    Exit status 2 where something differs, 1 where that can't be told, for a mistake in the file too.
    """
    found = _planned(session, wanted(session))
    if session.json:
        session.out.document("plan", plan_document(found))
    else:
        _show(session, found)
    if not found.empty:
        raise typer.Exit(exits.DIFFERS)


def apply(
    session: Session, yes: Annotated[bool, typer.Option("--yes", "-y", help="Don't ask before changing it.")] = False
) -> None:
    """Make the platform as its file says: only what differs, in an order that keeps it serving; then verify it.

    It stops at the first machine that isn't well after its changes. Running it again goes on.
    """
    from groundplane import recipes
    from groundplane.cli.running import run

    spec = wanted(session)
    agreed = None
    if not yes:
        agreed = _planned(session, spec)
        if not agreed.empty:
            for line in plan_lines(agreed, session.out.note):
                session.out.tell(line)
            agree(session, f"Carry this out on platform {spec.name}?", "nothing was changed")
    need_root(session, spec.provider, "change the platform's machines")
    begin = monotonic()
    with session.progress() as emit:
        done = run(recipes.apply(session.options(emit), agreed), tell=session.out.tell)
    _told(session, done, monotonic() - begin)


def _told(session: Session, done: Applied, seconds: float) -> None:
    if session.json:
        checks = None if done.report is None else report_document(done.report)
        content = {"changes": done.changes, "seconds": round(seconds, 3), "verify": checks}
        session.out.document("apply", {"plan": plan_document(done.plan), **content})
    elif done.report is None:
        session.out.say(f"nothing had to be changed ({duration(seconds)})")
    else:
        for line in report_lines(done.report, session.out.result, verbose=session.common.verbose):
            session.out.say(line)
        session.out.say(f"{summary(done.plan)}: done ({duration(seconds)})")
    if done.report is not None and not done.report.ok:
        raise typer.Exit(exits.FAILED)


def drift(
    session: Session,
    watch: Annotated[bool, typer.Option("--watch", "-w", help="Go on looking, and tell what comes and goes.")] = False,
    every: Annotated[float, typer.Option("--every", min=1, help="Seconds between two looks.")] = 15,
) -> None:
    """Find where the platform has come to differ from what it was built as, and since when. Changes nothing.

    Exit status 2 where something differs, 1 where that can't be told. `apply` mends it.
    """
    from groundplane import recipes
    from groundplane.cli.running import run

    need_root(session, standing(session).provider, "look at the platform's machines")
    if watch:
        watcher = _Watcher(session)
        run(recipes.watch_drift(session.options(watcher.silent), every, watcher.seen), tell=session.out.tell)
        return
    with session.progress() as emit:
        found = run(recipes.drift(session.options(emit)), tell=session.out.tell)
    if session.json:
        session.out.document("drift", plan_document(found))
    else:
        _show(session, found)
    if not found.empty:
        raise typer.Exit(exits.DIFFERS)


class _Watcher:
    """Tells what differs when it is first seen, and when it is gone again."""

    def __init__(self, session: Session) -> None:
        from groundplane.events import silent

        self.silent = silent
        self._session = session
        self._known: dict[str, str] | None = None

    def seen(self, plan: Plan) -> None:
        if self._session.json:
            document = {"at": datetime.now(UTC), **plan_document(plan)}
            self._session.out.line("drift", document)
            return
        now = drift_lines(plan, self._session.out.result)
        known = self._known if self._known is not None else {}
        stamp = local(datetime.now(UTC).timestamp())
        for key, line in now.items():
            if key not in known:
                self._session.out.say(f"{stamp}  {line}")
        for key, line in known.items():
            if key not in now:
                self._session.out.say(f"{stamp}  mended: {line}")
        if self._known is None and not now:
            self._session.out.say(f"{stamp}  nothing differs; looking again until Ctrl-C")
        self._known = now


def drift_lines(plan: Plan, channel: Channel) -> dict[str, str]:
    """One line per difference, by a name that stays the same from look to look; none where the plan is empty.

    A machine that is missing or off is one difference: the Steps that wait for it are none of their own.
    """
    found = {f"edit {edit}": f"the cluster file: {edit}" for edit in plan.edits}
    moves: tuple[Removal | Birth, ...] = (*plan.removals, *plan.births)
    for one in moves:  # one that is made anew is among both
        found[f"{one.machine} {one.why}"] = f"{one.machine}: {one.why}"
    for machine in plan.machines:
        name = machine.machine
        if machine.off:
            found[f"{name} off"] = f"{name}: is off"
        if machine.problem:
            found[f"{name} problem"] = f"{name}: cannot be asked: {machine.problem}"
        for change in machine.changes:
            found[f"{name} {change.kind.value} {change.key} {change.action.value}"] = (
                f"{name}: {change_line(change, channel)}"
            )
    for step in plan.steps:
        if not step.waits:
            seen = f": {step.seen}" if step.seen else ""
            found[f"step {step.name}"] = f"{step.machine}: {step.name} does not hold{seen}"
    if plan.unverified:
        found["unverified"] = "checks: not all held when they were last asked"
    return found


def _planned(session: Session, spec: ClusterSpec) -> Plan:
    from groundplane import recipes
    from groundplane.cli.running import run

    need_root(session, spec.provider, "look at the platform's machines")
    with session.progress() as emit:
        return run(recipes.plan(session.options(emit)), tell=session.out.tell)


def _show(session: Session, found: Plan) -> None:
    for line in plan_lines(found, session.out.result):
        session.out.say(line)
    if not found.empty:
        session.out.tell("next: groundplane apply")
