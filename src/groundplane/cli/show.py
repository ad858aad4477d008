"""Commands that only read and write files: they need neither root nor a platform."""

from __future__ import annotations

import platform as python_platform
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from groundplane import __version__
from groundplane.cli import exits, outfile
from groundplane.cli.complete import PROGRAMS, SHELLS, paths, shells
from groundplane.cli.init import init
from groundplane.cli.output import columns, counted
from groundplane.cli.session import Session, command, read_spec
from groundplane.cli.standing import wanted
from groundplane.errors import SpecError, StoreError

if TYPE_CHECKING:
    from groundplane.spec.model import ClusterSpec, ProviderName

PANEL = "The cluster file"
ABOUT = "About groundplane and this computer"


def register(app: typer.Typer) -> None:
    """Add these commands to ``app``."""
    command(app, "init", panel=PANEL, json=True)(init)
    command(app, "validate", panel=PANEL, json=True)(validate)
    command(app, "explain", panel=PANEL, json=True)(explain)
    command(app, "schema", panel=PANEL)(schema)
    command(app, "render", panel=PANEL)(render)
    command(app, "doctor", panel=ABOUT, json=True)(doctor)
    command(app, "version", panel=ABOUT, json=True)(version)
    command(app, "completion", panel=ABOUT)(completion)


def validate(
    session: Session,
    annotate: Annotated[bool, typer.Option("--annotate", help="Show the file with its problems beside them.")] = False,
) -> None:
    """Check the cluster file: every problem at once, each with its line and what to write instead."""
    try:
        spec = _spec(session)
    except SpecError as error:
        if annotate and not session.json:
            _annotated(session, error)
            raise typer.Exit(exits.USAGE) from None
        raise
    from groundplane.spec.addressing import roster
    from groundplane.spec.roles import Role

    found = roster(spec)
    if session.json:
        machines = [{"name": entry.name, "role": entry.first, "roles": entry.all_roles} for entry in found]
        content = {"file": session.file, "valid": True, "name": spec.name, "machines": machines, "problems": ()}
        session.out.document("validate", content)
        return
    numbers = {role: sum(entry.has(role) for entry in found) for role in Role}
    listed = ", ".join(counted(number, role.value.replace("-", " ")) for role, number in numbers.items() if number)
    shared = f" on {len(found)} machines" if sum(numbers.values()) > len(found) else ""
    session.out.say(f"{session.file}: valid: platform {spec.name} ({listed}{shared})")


def explain(
    session: Session,
    path: Annotated[
        str,
        typer.Argument(
            help="A key as network.lan, or the word versions; default: all keys.",
            metavar="PATH",
            autocompletion=paths,
            show_default=False,
        ),
    ] = "",
) -> None:
    """Explain the cluster file's keys: what may be written, the default, what it is for, what changing it means."""
    if path == "versions":
        _versions(session)
        return
    from groundplane.spec import explain as explained
    from groundplane.spec import explain_text
    from groundplane.spec.explaining import later

    if not session.json:
        session.out.say(explain_text(path).rstrip("\n"))
        return
    keys = [
        {
            "path": key.path,
            "type": key.kind.words,
            "required": key.required,
            "default": key.default,
            "description": key.description,
            "changes": [
                {
                    "when": one.whens,
                    "transition": one.way.transition,
                    "effect": one.way.effect,
                    "instead": one.way.instead,
                }
                for one in later(key)
            ],
        }
        for key in explained(path)
    ]
    session.out.document("explain", {"keys": keys})


def schema(session: Session) -> None:
    """Write the cluster file's JSON Schema, for editors."""
    from groundplane.software import known_versions
    from groundplane.spec import schema as text

    session.out.say(text(known_versions()).rstrip("\n"))


def render(
    session: Session,
    out: Annotated[
        Path, typer.Option("--out", "-o", help="A new or empty folder.", show_default=False, readable=False)
    ],
    show_secrets: Annotated[
        bool, typer.Option("--show-secrets", help="Write keys and tokens too, which are left out otherwise.")
    ] = False,
) -> None:
    """Write every file of every machine, without building anything."""
    from groundplane import recipes
    from groundplane.events import silent

    outfile.check_folder(out)
    wanted(session)
    written = recipes.render(session.options(silent), out, show_secrets)
    if session.common.verbose:
        for path in written:
            session.out.say(str(path))
    session.out.say(f"{len(written)} files below {out}")


def doctor(session: Session) -> None:
    """Look whether this computer has what the file's provider needs, and say how to get what is missing.

    Without a file it looks for what the default provider needs.
    """
    from groundplane.machines.catalog import kind_of

    findings = kind_of(_provider(session)).examine(session.home.state)
    good = all(finding.fine for finding in findings)
    if session.json:
        content = [
            {
                "name": finding.name,
                "ok": finding.fine,
                "seen": finding.seen,
                "remedy": "" if finding.fine else finding.remedy,
            }
            for finding in findings
        ]
        session.out.document("doctor", {"ok": good, "findings": content})
    else:
        channel = session.out.result
        rows = [(channel.mark(finding.fine), channel.style(finding.name, "name"), finding.seen) for finding in findings]
        lines = columns(rows, channel)
        remedies = ["" if finding.fine else finding.remedy for finding in findings]
        for number, (line, remedy) in enumerate(zip(lines, remedies, strict=True)):
            session.out.say(line)
            if (
                remedy and remedy not in remedies[number + 1 :]
            ):  # one command may cure several: said once, after the last
                session.out.say(f"    {channel.style('next:', 'hint')} {remedy}")
    if not good:
        raise typer.Exit(exits.FAILED)


def version(session: Session) -> None:
    """Show the version, and the Kubernetes versions it builds."""
    from groundplane.software import known_versions

    python = python_platform.python_version()
    if session.json:
        session.out.document("version", {"groundplane": __version__, "python": python, "kubernetes": known_versions()})
        return
    session.out.say(f"groundplane {__version__} (Python {python}; Kubernetes {', '.join(known_versions())})")


def completion(
    session: Session,
    shell: Annotated[
        str, typer.Argument(help="bash, zsh or fish.", metavar="SHELL", autocompletion=shells, show_default=False)
    ],
) -> None:
    """Write the shell's completion script: eval "$(groundplane completion bash)" in ~/.bashrc"""
    from typer.completion import get_completion_script  # type: ignore[attr-defined] # its only door

    if shell not in SHELLS:
        raise typer.BadParameter(f"{shell!r} is not one of {', '.join(SHELLS)}", param_hint="SHELL")
    for program in PROGRAMS:
        variable = f"_{program.upper()}_COMPLETE"
        session.out.say(get_completion_script(prog_name=program, complete_var=variable, shell=shell))


def _provider(session: Session) -> ProviderName:
    """The provider the file names. A file that can't be read is told of, and no hindrance."""
    from groundplane.spec.providers import DEFAULT

    if not session.named and not session.file.exists():
        return DEFAULT
    try:
        return _spec(session).provider
    except SpecError as error:
        session.out.tell(f"{session.out.note.style('warning:', 'warn')} {error}; this looks for what {DEFAULT} needs")
        session.out.tell("  next: groundplane validate")
        return DEFAULT


def _spec(session: Session) -> ClusterSpec:
    """The cluster file. Only where there is a fault in it, it is looked whether its platform stands and bears it."""
    from groundplane.spec.problem import InvalidCluster

    try:
        return read_spec(session.file)
    except InvalidCluster as error:
        from groundplane.store import Store

        with suppress(StoreError):  # what is wrong with our own state is not the file's fault
            if error.platform and Store(session.home, error.platform).exists:
                return wanted(session)
        raise


def _annotated(session: Session, error: SpecError) -> None:
    from groundplane.spec import annotate
    from groundplane.spec.problem import InvalidCluster

    if not isinstance(error, InvalidCluster):
        raise error
    session.out.say(annotate(error).rstrip("\n"))


def _versions(session: Session) -> None:
    from groundplane.bundle.versions import load_versions
    from groundplane.software import DEFAULT_VERSION, known_versions

    versions = [load_versions(one) for one in known_versions()]
    if session.json:
        content = [
            {
                "kubernetes": one.kubernetes,
                "default": one.kubernetes == DEFAULT_VERSION,
                "parts": {part.name: part.version for part in one.parts},
            }
            for one in versions
        ]
        session.out.document("versions", {"versions": content})
        return
    for one in versions:
        default = " (default)" if one.kubernetes == DEFAULT_VERSION else ""
        parts = ", ".join(f"{part.name} {part.version}" for part in one.parts if part.name != "kubernetes")
        session.out.say(f"{session.out.result.style(one.kubernetes, 'name')}{default}: {parts}")
