"""What every command is given: the options all of them share, settled, and where to write.

Shared options may stand before the command or after it (``groundplane -v up`` is ``groundplane up -v``); what stands
after wins.
"""

from __future__ import annotations

import inspect
import os
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Concatenate, ParamSpec

import typer

from groundplane.cli.failures import guarded
from groundplane.cli.foreign import Foreign
from groundplane.cli.output import Output

if TYPE_CHECKING:
    from groundplane.bundle.sources import Mirrors, SourceName
    from groundplane.events import Emit
    from groundplane.recipes import Options
    from groundplane.spec.model import ClusterSpec
    from groundplane.store import Home

P = ParamSpec("P")

PANEL = "Options of every command"

FileOption = Annotated[
    Path | None,
    typer.Option(
        "--file",
        "-f",
        help="The cluster file. Default: $GROUNDPLANE_FILE, else cluster.yaml here.",
        readable=False,  # what can't be read is told with all else that may be wrong with the file
        show_default=False,
        rich_help_panel=PANEL,
    ),
]
StateDir = Annotated[
    Path | None,
    typer.Option(
        "--state-dir",
        help="Where secrets and the journal are kept. Default: groundplane in $XDG_STATE_HOME, else in ~/.local/state.",
        show_default=False,
        rich_help_panel=PANEL,
    ),
]
CacheDir = Annotated[
    Path | None,
    typer.Option(
        "--cache-dir",
        help="Where bundles and images are kept. Default: groundplane in $XDG_CACHE_HOME, else in ~/.cache.",
        show_default=False,
        rich_help_panel=PANEL,
    ),
]
NoColor = Annotated[bool, typer.Option("--no-color", help="No colours; NO_COLOR does the same.", rich_help_panel=PANEL)]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Results and errors only.", rich_help_panel=PANEL)]
Verbose = Annotated[
    bool,
    typer.Option("--verbose", "-v", help="Show also what needed no change, and tracebacks.", rich_help_panel=PANEL),
]
Json = Annotated[bool, typer.Option("--json", help="Write the result as one JSON document.", rich_help_panel=PANEL)]


@dataclass(frozen=True, slots=True)
class Common:
    """The shared options as they were given in one place. The fields' names and types are the options'."""

    file: FileOption = None
    state_dir: StateDir = None
    cache_dir: CacheDir = None
    no_color: NoColor = False
    quiet: Quiet = False
    verbose: Verbose = False

    def over(self, earlier: Common) -> Common:
        """These, and what ``earlier`` says where these say nothing."""
        return Common(
            **{field.name: getattr(self, field.name) or getattr(earlier, field.name) for field in fields(self)}
        )


@dataclass(frozen=True, slots=True)
class Session:
    """One run of one command."""

    common: Common
    json: bool
    out: Output

    @property
    def file(self) -> Path:
        """The cluster file."""
        return cluster_file(self.common.file)

    @property
    def named(self) -> bool:
        """Whether the file was named, and not only looked for where it usually is."""
        return bool(self.common.file or os.environ.get("GROUNDPLANE_FILE"))

    @property
    def home(self) -> Home:
        from groundplane.store import Home

        return Home.find(self.common.state_dir, self.common.cache_dir)

    def options(
        self,
        emit: Emit,
        *,
        bundle_source: SourceName = "auto",
        bundle_file: Path | None = None,
        bundle_mirrors: Mirrors | None = None,
        extra_images: tuple[Path, ...] = (),
    ) -> Options:
        """What the recipes want to know."""
        from groundplane.recipes import Options

        return Options(
            file=self.file,
            state_dir=self.common.state_dir,
            cache_dir=self.common.cache_dir,
            emit=emit,
            bundle_source=bundle_source,
            bundle_file=bundle_file,
            bundle_mirrors=bundle_mirrors,
            extra_images=extra_images,
        )

    def progress(self) -> AbstractContextManager[Emit]:
        """Show events on stderr, in the way this stderr can show them, while the block runs."""
        from groundplane.cli.progress import shown

        return shown(self.out, quiet=self.common.quiet, verbose=self.common.verbose)


def cluster_file(given: Path | None) -> Path:
    """The cluster file: the one given, else the environment's, else ``cluster.yaml``."""
    return given or Path(os.environ.get("GROUNDPLANE_FILE") or "cluster.yaml")


def read_spec(file: Path) -> ClusterSpec:
    """As ``recipes.validate``, without waiting for all of groundplane to be imported."""
    from groundplane.software import known_versions
    from groundplane.spec import load

    return load(file, name=str(file), versions=known_versions())


def command(
    app: typer.Typer,
    name: str,
    *,
    json: bool = False,
    panel: str | None = None,
    raw: bool = False,
    compares: bool = False,
) -> Callable[[Callable[Concatenate[Session, P], None]], Callable[Concatenate[Session, P], None]]:
    """Register a function as command ``name`` of ``app``: its own parameters plus the shared options.

    ``json`` adds --json. ``raw``: from the first word on that isn't an option of ours, all belongs to another program.
    ``compares``: see ``guarded``.
    """

    def register(function: Callable[Concatenate[Session, P], None]) -> Callable[Concatenate[Session, P], None]:
        app.command(name, cls=Foreign if raw else None, rich_help_panel=panel)(
            with_common(function, json=json, compares=compares)
        )
        return function

    return register


def with_common(
    function: Callable[..., None], *, json: bool, alone: bool = False, compares: bool = False
) -> Callable[..., None]:
    """What Typer calls instead of ``function``: it settles the shared options and maps errors to exit statuses.

    ``alone``: the function is a group's own action, left out when one of the group's commands follows.
    """

    def entry(ctx: typer.Context, **values: Any) -> None:
        given = Common(**{field.name: values.pop(field.name) for field in fields(Common)})
        as_json = values.pop("json", False)
        common = given.over(ctx.obj) if isinstance(ctx.obj, Common) else given
        if alone and ctx.invoked_subcommand is not None:
            ctx.obj = common
            return
        session = Session(common, as_json, Output.standard(colour=not common.no_color))
        with guarded(session.out, verbose=common.verbose, as_json=as_json, compares=compares):
            function(session, **values)

    entry.__name__, entry.__doc__ = function.__name__, function.__doc__
    parameters = [inspect.Parameter("ctx", _KEYWORD, annotation=typer.Context), *_parameters(function, json=json)]
    entry.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined] # PEP 362 allows it
    entry.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    return entry


_KEYWORD = inspect.Parameter.KEYWORD_ONLY


def _parameters(function: Callable[..., None], *, json: bool) -> list[inspect.Parameter]:
    """The function's own parameters but for the session, then the shared ones."""
    found = list(inspect.signature(function, eval_str=True).parameters.values())[1:]
    found += inspect.signature(Common, eval_str=True).parameters.values()
    if json:
        found.append(inspect.Parameter("json", _KEYWORD, default=False, annotation=Json))
    return [parameter.replace(kind=_KEYWORD) for parameter in found]
