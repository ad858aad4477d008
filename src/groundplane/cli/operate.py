"""Commands that work on machines of a standing platform: made anew, emptied, filled again."""

from __future__ import annotations

from time import monotonic
from typing import Annotated

import typer

from groundplane.cli import exits
from groundplane.cli.complete import machine_names
from groundplane.cli.output import duration
from groundplane.cli.platform import agree
from groundplane.cli.report_view import report_document, report_lines
from groundplane.cli.root import need_root
from groundplane.cli.session import Session, command
from groundplane.cli.standing import standing, wanted

PANEL = "Machines"

Names = Annotated[
    list[str],
    typer.Argument(help="Names of machines.", autocompletion=machine_names, metavar="MACHINE...", show_default=False),
]


def register(app: typer.Typer) -> None:
    """Add these commands to ``app``."""
    command(app, "replace", panel=PANEL, json=True)(replace)
    command(app, "drain", panel=PANEL)(drain)
    command(app, "undrain", panel=PANEL)(undrain)


def replace(
    session: Session,
    machine: Names,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Don't ask before removing it.")] = False,
) -> None:
    """Make machines anew under their names, one after the other, then verify the platform.

    One that runs is emptied first; one that is dead needn't answer. All that only it held is gone.
    """
    from groundplane import recipes
    from groundplane.cli.running import run
    from groundplane.events import silent

    need_root(session, wanted(session).provider, "replace machines")
    if off := recipes.started_for(session.options(silent), machine):
        session.out.tell(f"{', '.join(off)} {'is' if len(off) == 1 else 'are'} off, and will be started as well")
    if not yes:
        agree(session, f"Remove {', '.join(machine)} with all its data and make it anew?", "nothing was changed")
    begin = monotonic()
    with session.progress() as emit:
        report = run(recipes.replace(session.options(emit), tuple(machine)), tell=session.out.tell)
    seconds = monotonic() - begin
    if session.json:
        session.out.document(
            "replace", {"machines": machine, "seconds": round(seconds, 3), "verify": report_document(report)}
        )
    else:
        for line in report_lines(report, session.out.result, verbose=session.common.verbose):
            session.out.say(line)
        session.out.say(f"{', '.join(machine)}: made anew ({duration(seconds)})")
    if not report.ok:
        raise typer.Exit(exits.FAILED)


def drain(
    session: Session,
    machine: Names,
    deadline: Annotated[float, typer.Option("--deadline", min=1, help="Seconds each node may take to empty.")] = 300,
) -> None:
    """Have a node's pods run elsewhere, and let no new one come until `undrain`.

    It says which pod or PodDisruptionBudget is in the way of one that doesn't empty.
    """
    from groundplane import recipes
    from groundplane.cli.running import run

    need_root(session, standing(session).provider, "reach the platform's machines")
    with session.progress() as emit:
        run(recipes.drain(session.options(emit), tuple(machine), deadline), tell=session.out.tell)
    session.out.say(f"{', '.join(machine)}: empty; `groundplane undrain` lets pods come again")


def undrain(session: Session, machine: Names) -> None:
    """Let pods come to a drained node again."""
    from groundplane import recipes
    from groundplane.cli.running import run

    need_root(session, standing(session).provider, "reach the platform's machines")
    with session.progress() as emit:
        run(recipes.undrain(session.options(emit), tuple(machine)), tell=session.out.tell)
    session.out.say(f"{', '.join(machine)}: pods may come")
