"""All commands put together."""

from __future__ import annotations

from typing import Annotated

import typer
from typer.completion import completion_init  # type: ignore[attr-defined] # its only door

from groundplane import __version__
from groundplane.cli import bundle, change, drill, history, machines, operate, platform, show
from groundplane.cli.session import CacheDir, Common, FileOption, NoColor, Quiet, StateDir, Verbose

completion_init()  # Typer does so itself only where it adds its own options for completion

app = typer.Typer(
    name="groundplane",
    no_args_is_help=True,
    add_completion=False,  # `groundplane completion` writes the scripts, for both names of the program
    pretty_exceptions_enable=False,  # failures.py shows errors
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"groundplane {__version__}")
        raise typer.Exit()


@app.callback()
def common(
    ctx: typer.Context,
    file: FileOption = None,
    state_dir: StateDir = None,
    cache_dir: CacheDir = None,
    no_color: NoColor = False,
    quiet: Quiet = False,
    verbose: Verbose = False,
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    """One file into a whole, highly available Kubernetes platform out of the cloud.

    Start with: groundplane doctor, then groundplane up -f cluster.yaml

    Exit status: 0 done; 1 failed; 2 bad usage, an invalid or changed cluster file; 130 interrupted. Where `plan` and
    `drift` end with 2, something differs.
    """
    ctx.obj = Common(file, state_dir, cache_dir, no_color, quiet, verbose)


platform.register(app)
change.register(app)
machines.register(app)
operate.register(app)
drill.register(app)
show.register(app)
history.register(app)
bundle.register(app)
