"""Breaking a running platform on purpose, and measuring how it bears it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from groundplane.cli import exits, outfile
from groundplane.cli.complete import drill_names
from groundplane.cli.platform import agree
from groundplane.cli.root import need_root
from groundplane.cli.session import Session, command
from groundplane.cli.standing import wanted

if TYPE_CHECKING:
    from groundplane.drill import Suite

LIST = "list"


def register(app: typer.Typer) -> None:
    """Add ``drill`` to ``app``."""
    command(app, "drill", panel="Platform", json=True)(drill)


def drill(
    session: Session,
    name: Annotated[
        str,
        typer.Argument(
            help="A drill's name; `list` says what there is and what each risks, `all` does them one after the other.",
            autocompletion=drill_names,
            metavar="NAME|list|all",
            show_default=False,
        ),
    ],
    html: Annotated[
        Path | None, typer.Option("--html", help="Write the report as a page to this new file.", show_default=False)
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Don't ask before anything is broken.")] = False,
) -> None:
    """Break something real, watch what clients see of it, and report: gap, failures, takeover, healing.

    Whatever is broken is mended again, also when you interrupt it: a machine that was lost is made anew, one that was
    added goes. Should it be killed, `up` mends, and `apply` takes away what was added.
    """
    if name == LIST:
        _list(session)
        return
    from groundplane import recipes
    from groundplane.cli.running import run
    from groundplane.machines.catalog import kind_of

    if html is not None:
        outfile.check_new(html)
    spec = wanted(session)
    need_root(session, spec.provider, "break machines")
    if not (yes or kind_of(spec.provider).expendable):
        question = f"Do drill {name} on platform {spec.name}? `groundplane drill list` says what it risks"
        agree(session, question, "nothing was drilled")
    with session.progress() as emit:
        suite = run(recipes.drill(session.options(emit), name), tell=session.out.tell)
    _show(session, suite, several=name == "all")
    if html is not None:
        _write_page(session, suite, html)
    if not suite.ok:
        raise typer.Exit(exits.FAILED)


def _list(session: Session) -> None:
    from groundplane.cli.drill_view import listing_lines
    from groundplane.drill.report import listing

    if session.json:
        session.out.document("drill-list", listing())
        return
    for line in listing_lines(session.out.result):
        session.out.say(line)


def _show(session: Session, suite: Suite, *, several: bool) -> None:
    from groundplane.cli.drill_view import refused_line, report_lines
    from groundplane.drill.report import document, suite_document

    if session.json:
        if several:
            session.out.document("drill-all", suite_document(suite))
        else:
            session.out.document("drill", document(suite.reports[0]))
        return
    for report in suite.reports:
        for line in report_lines(report, session.out.result):
            session.out.say(line)
    for refused in suite.refused:
        session.out.say(refused_line(refused, session.out.result))
    if suite.stopped:
        session.out.say(f"{session.out.result.mark(False)} nothing was done after {suite.stopped}")
    good = sum(report.ok for report in suite.reports)
    session.out.say(f"{good} of {len(suite.reports)} drills passed")


def _write_page(session: Session, suite: Suite, path: Path) -> None:
    from groundplane.drill.page import page

    outfile.write(path, page(suite).encode())
    session.out.tell(f"the report is in {path}")
