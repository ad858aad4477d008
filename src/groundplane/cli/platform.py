"""Commands that build, look at and remove a whole platform."""

from __future__ import annotations

import sys
from pathlib import Path
from time import monotonic
from typing import Annotated

import typer

from groundplane.cli import exits, status_view
from groundplane.cli.bundle import MIRROR_HELP, MIRROR_SHAPE, mirrors, source_named
from groundplane.cli.complete import sources
from groundplane.cli.output import duration
from groundplane.cli.report_view import report_document, report_lines
from groundplane.cli.root import need_root
from groundplane.cli.session import Session, command
from groundplane.cli.standing import standing, wanted
from groundplane.errors import GroundplaneError

PANEL = "Platform"

BundleSource = Annotated[
    str,
    typer.Option(
        "--bundle-source",
        help="Where Kubernetes comes from when it isn't in the cache: auto, file, release or modules.",
        metavar="SOURCE",
        autocompletion=sources,
    ),
]
BundleFile = Annotated[
    Path | None,
    typer.Option("--bundle-file", help="An exported bundle to take Kubernetes from.", show_default=False),
]
BundleMirror = Annotated[
    list[str] | None,
    typer.Option("--bundle-mirror", help=MIRROR_HELP, metavar=MIRROR_SHAPE, show_default=False),
]
ExtraImages = Annotated[
    list[Path] | None,
    typer.Option(
        "--extra-images",
        help="An OCI image layout whose images the platform serves its nodes, from now on; may be given several times.",
        show_default=False,
    ),
]


def register(app: typer.Typer) -> None:
    """Add these commands to ``app``."""
    command(app, "up", panel=PANEL)(up)
    command(app, "down", panel=PANEL)(down)
    command(app, "verify", panel=PANEL, json=True)(verify)
    command(app, "status", panel=PANEL, json=True)(status)


def up(
    session: Session,
    bundle_source: BundleSource = "auto",
    bundle_file: BundleFile = None,
    bundle_mirror: BundleMirror = None,
    extra_images: ExtraImages = None,
) -> None:
    """Build the platform, or finish building it, then verify it.

    Running it again changes nothing that is as it should be, and goes on where an earlier run was stopped.
    """
    from groundplane import recipes
    from groundplane.cli.running import run

    source = source_named(bundle_source, "--bundle-source", bundle_file, "--bundle-file")
    instead = mirrors(bundle_mirror, "--bundle-mirror") if bundle_mirror else None
    spec = wanted(session)
    need_root(session, spec.provider, "build machines")
    begin = monotonic()
    with session.progress() as emit:
        options = session.options(
            emit,
            bundle_source=source,
            bundle_file=bundle_file,
            bundle_mirrors=instead,
            extra_images=tuple(extra_images or ()),
        )
        report = run(recipes.up(options), tell=session.out.tell)
    for line in report_lines(report, session.out.result, verbose=session.common.verbose):
        session.out.say(line)
    if not report.ok:
        session.out.tell(f"{spec.name} is built, but not all of it works; `groundplane verify` checks it again")
        raise typer.Exit(exits.FAILED)
    took = duration(monotonic() - begin)
    if not report.changed:
        session.out.say(f"{spec.name} is up; nothing had to be changed ({took})")
        return
    session.out.say(f"{spec.name} is up ({took})")
    session.out.tell("next: groundplane status; groundplane kubectl get nodes; groundplane kubeconfig --out kubeconfig")


def down(
    session: Session, yes: Annotated[bool, typer.Option("--yes", "-y", help="Don't ask before removing it.")] = False
) -> None:
    """Remove the platform: its machines with all their data, and its secrets. Bundles, images and history stay."""
    from groundplane import recipes
    from groundplane.cli.running import run

    found = standing(session)
    need_root(session, found.provider, "remove machines")
    if not yes:
        agree(session, f"Remove platform {found.name} with all data on its machines?", "nothing was removed")
    with session.progress() as emit:
        removed = run(recipes.down(session.options(emit)), tell=session.out.tell)
    session.out.say(f"{found.name} is removed" if removed else f"there is no platform {found.name}")


def verify(
    session: Session,
    check: Annotated[
        list[str] | None,
        typer.Argument(help="Names of checks; default: all of them.", metavar="CHECK", show_default=False),
    ] = None,
) -> None:
    """Check that the platform works, and say what to do where it doesn't."""
    from groundplane import recipes
    from groundplane.cli.running import run

    need_root(session, standing(session).provider, "reach the platform's machines")
    with session.progress() as emit:
        report = run(recipes.verify(session.options(emit), tuple(check or ())), tell=session.out.tell)
    if session.json:
        session.out.document("verify", report_document(report))
    else:
        for line in report_lines(report, session.out.result, verbose=True):
            session.out.say(line)
    if not report.ok:
        raise typer.Exit(exits.FAILED)


def status(session: Session) -> None:
    """Show the platform: its machines, who holds the floating address, quorum, nodes, certificates."""
    from groundplane import recipes
    from groundplane.cli.running import run

    need_root(session, standing(session).provider, "see the platform's machines")
    with session.progress() as emit:
        found = run(recipes.status(session.options(emit)), tell=session.out.tell)
    if session.json:
        session.out.document("status", status_view.document(found))
        return
    for line in status_view.lines(found, session.out.result):
        session.out.say(line)


def can_ask(session: Session) -> bool:
    """Whether somebody sits at both ends."""
    return sys.stdin.isatty() and session.out.note.terminal


def agree(session: Session, question: str, otherwise: str) -> None:
    """Ask whoever sits there; GroundplaneError that says ``otherwise`` where the answer is no."""
    if not can_ask(session):
        session.out.tell(f"{session.out.note.style('error:', 'error')} nobody can be asked here: {question}")
        session.out.tell("  next: say so beforehand with --yes")
        raise typer.Exit(exits.USAGE)
    if not typer.confirm(question, err=True):
        raise GroundplaneError(otherwise)
