"""What the shell may complete arguments with. A completion that can't be found is no completion, never an error."""

from __future__ import annotations

from pathlib import Path
from typing import Final, get_args

import typer

from groundplane.cli.session import cluster_file, read_spec
from groundplane.errors import GroundplaneError

PROGRAMS: Final = ("groundplane", "gp")
"""The names the command is installed under."""
SHELLS: Final = ("bash", "zsh", "fish")


def machine_names(ctx: typer.Context) -> list[str]:
    """The machines of the cluster file that the line so far names."""
    from groundplane.spec.addressing import roster

    try:
        return [entry.name for entry in roster(read_spec(_file(ctx)))]
    except GroundplaneError:
        return []


def drill_names() -> list[str]:
    """Every drill, and the words that may stand for one."""
    from groundplane.drill import DRILLS

    return ["list", "all", *(drill.name for drill in DRILLS)]


def versions() -> list[str]:
    """The Kubernetes versions groundplane can build."""
    from groundplane.software import known_versions

    return list(known_versions())


def sources() -> list[str]:
    """Where a bundle may come from."""
    from groundplane.bundle.sources import SourceName

    return list(get_args(SourceName))


def shells() -> list[str]:
    """The shells there is a completion script for."""
    return list(SHELLS)


def paths() -> list[str]:
    """What `explain` explains."""
    from groundplane.spec.keys import all_keys

    return ["versions", *(key.path for key in all_keys())]


def _file(ctx: typer.Context) -> Path:
    given = ctx.params.get("file") or (ctx.parent.params.get("file") if ctx.parent else None)
    return cluster_file(Path(given) if given else None)
