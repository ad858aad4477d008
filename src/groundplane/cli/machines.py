"""Commands that sit at one machine or at the cluster."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from groundplane.cli import exits, outfile
from groundplane.cli.complete import machine_names
from groundplane.cli.root import need_root
from groundplane.cli.session import Session, command
from groundplane.cli.standing import standing
from groundplane.events import silent

PANEL = "Machines"

Machine = Annotated[
    str, typer.Argument(help="The machine's name.", autocompletion=machine_names, metavar="MACHINE", show_default=False)
]

Machines = Annotated[
    list[str] | None,
    typer.Argument(
        help="Names of machines; default: all of them.",
        autocompletion=machine_names,
        metavar="MACHINE",
        show_default=False,
    ),
]


def register(app: typer.Typer) -> None:
    """Add these commands to ``app``."""
    command(app, "start", panel=PANEL)(start)
    command(app, "stop", panel=PANEL)(stop)
    command(app, "ssh", panel=PANEL)(ssh)
    command(app, "console", panel=PANEL)(console)
    command(app, "kubectl", panel=PANEL, raw=True)(kubectl)
    command(app, "kubeconfig", panel=PANEL)(kubeconfig)


def start(session: Session, machine: Machines = None) -> None:
    """Start machines that were stopped, as pressing their power buttons would."""
    _power(session, machine, on=True, force=False)


def stop(
    session: Session,
    machine: Machines = None,
    force: Annotated[bool, typer.Option("--force", help="At once, as pulling the plug does.")] = False,
) -> None:
    """Shut machines down. Nothing on them is lost."""
    _power(session, machine, on=False, force=force)


def _power(session: Session, names: list[str] | None, *, on: bool, force: bool) -> None:
    from groundplane import recipes
    from groundplane.cli.running import run

    need_root(session, standing(session).provider, "start and stop machines")
    with session.progress() as emit:
        run(recipes.power(session.options(emit), on, tuple(names or ()), force=force), tell=session.out.tell)
    session.out.say(f"{', '.join(names) if names else 'all machines'} {'started' if on else 'stopped'}")


def ssh(
    session: Session,
    machine: Machine,
    argv: Annotated[
        list[str] | None,
        typer.Argument(help="A command, after --; default: a login shell.", metavar="CMD", show_default=False),
    ] = None,
) -> None:
    """Sit at a machine, or run one command there: groundplane ssh cp1 -- journalctl -b"""
    from groundplane import recipes

    need_root(session, standing(session).provider, "enter machines")
    raise typer.Exit(recipes.ssh(session.options(silent), machine, argv or []))


def console(
    session: Session,
    machine: Machine,
    follow: Annotated[bool, typer.Option("--follow/--no-follow", help="Go on as it grows, until Ctrl-C.")] = True,
) -> None:
    """Show what a machine wrote to its console since it was started."""
    import asyncio

    from groundplane import recipes
    from groundplane.cli.follow import copy_log

    need_root(session, standing(session).provider, "read consoles")
    path = recipes.console(session.options(silent), machine)
    sys.stdout.flush()
    try:
        asyncio.run(copy_log(path, sys.stdout.buffer, follow=follow))
    except KeyboardInterrupt:  # the usual way to end it
        raise typer.Exit(exits.DONE) from None


def kubectl(
    session: Session,
    argv: Annotated[
        list[str] | None, typer.Argument(help="kubectl's own arguments.", metavar="ARGS", show_default=False)
    ] = None,
) -> None:
    """Run the platform's kubectl here, with your files and ports: groundplane kubectl -n kube-system get pods

    Options of groundplane stand before the first word that isn't one of them; from there on, all is kubectl's.
    """
    from groundplane import recipes
    from groundplane.cli.become import become_kubectl
    from groundplane.cli.running import run

    need_root(session, standing(session).provider, "reach the platform's keys")
    become_kubectl(run(recipes.kubectl(session.options(silent)), tell=session.out.tell), argv or [])


def kubeconfig(
    session: Session,
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="Write it to this new file, mode 0600.", show_default=False)
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace the file if there is one.")] = False,
) -> None:
    """Write an administrator's kubeconfig. Who has it rules the cluster."""
    from groundplane import recipes
    from groundplane.cli.running import run

    if out is not None:
        outfile.check_new(out, hint="choose another name, or replace it with --force", replace=force)
    need_root(session, standing(session).provider, "read the platform's keys")
    with session.progress() as emit:
        secret = run(recipes.kubeconfig(session.options(emit)), tell=session.out.tell)
    if out is None:
        sys.stdout.write(secret.text())
        sys.stdout.flush()
        return
    outfile.write(out, secret.reveal())
    session.out.tell(f"next: export KUBECONFIG={out.absolute()}")
