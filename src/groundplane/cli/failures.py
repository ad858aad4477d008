"""From an exception to what the user reads and the status the command ends with. Nothing else here exits."""

from __future__ import annotations

import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager

import typer

from groundplane.cli import exits
from groundplane.cli.output import Channel, Output
from groundplane.errors import FileChanged, GroundplaneError, Interrupted, SpecError, UsageError

DETAIL_LINES = 20
"""How much of a component's own words is shown; its last lines say most."""


@contextmanager
def guarded(out: Output, *, verbose: bool, as_json: bool = False, compares: bool = False) -> Iterator[None]:
    """Show whatever the block raises on stderr and end the command with the status that belongs to it.

    ``compares``: its status says whether something differs, and nothing that kept it from finding out may say so.
    """
    try:
        yield
    except (typer.Exit, typer.BadParameter, BrokenPipeError):
        raise
    except BaseException as error:
        if isinstance(error, SystemExit | GeneratorExit):
            raise
        if isinstance(error, KeyboardInterrupt | typer.Abort | Interrupted) or _cancelled(error):
            # What failed while stopping is worth knowing, the stop itself isn't.
            show_all(out.note, error.__cause__, verbose=verbose)
            out.tell("interrupted: run the same command again to go on")
            raise typer.Exit(exits.INTERRUPTED) from None
        if as_json and isinstance(error, SpecError):
            _spec_document(out, error)
        show_all(out.note, error, verbose=verbose)
        raise typer.Exit(exits.FAILED if compares else _status(error)) from None


def _status(error: BaseException) -> int:
    if isinstance(error, SpecError | UsageError):
        return exits.USAGE
    return exits.DIFFERS if isinstance(error, FileChanged) else exits.FAILED


def flattened(error: BaseException | None) -> list[BaseException]:
    """Every failure in ``error``, groups opened, doubles and mere cancellations left out."""
    if error is None or isinstance(error, KeyboardInterrupt) or _cancelled(error):
        return []
    if not isinstance(error, BaseExceptionGroup):
        return [error]
    found: dict[tuple[type, str], BaseException] = {}
    for inner in error.exceptions:
        for single in flattened(inner):
            found.setdefault((type(single), str(single)), single)
    return list(found.values())


def _cancelled(error: BaseException) -> bool:
    # Importing asyncio takes a fifth of the time a short command takes; who raised its error has imported it.
    return "asyncio" in sys.modules and isinstance(error, sys.modules["asyncio"].CancelledError)


def show_all(channel: Channel, error: BaseException | None, *, verbose: bool) -> None:
    """Show every failure in ``error``."""
    for single in flattened(error):
        if isinstance(single, SpecError):
            _show_problems(channel, single)
        elif isinstance(single, GroundplaneError):
            _show_known(channel, single)
        else:
            _show_unexpected(channel, single, verbose=verbose)
            continue
        if verbose:
            _show_traceback(channel, single)


def _show_known(channel: Channel, error: GroundplaneError) -> None:
    from groundplane.spec.problem import visible

    where = f"{channel.style(visible(error.where), 'name')}: " if error.where else ""
    channel.line(f"{channel.style('error:', 'error')} {where}{visible(error.what)}")
    if error.detail:
        lines = error.detail.rstrip().splitlines()
        if len(lines) > DETAIL_LINES:
            channel.line(channel.style(f"    … {len(lines) - DETAIL_LINES} lines before these", "dim"))
        for line in lines[-DETAIL_LINES:]:
            channel.line(channel.style(f"    {visible(line)}", "dim"))
    _show_hint(channel, error)


def _show_problems(channel: Channel, error: SpecError) -> None:
    from groundplane.spec.problem import InvalidCluster

    if not isinstance(error, InvalidCluster):
        _show_known(channel, error)
        return
    for problem in error.problems:
        at = f"{problem.line}:{problem.column}:" if problem.line else ""
        place = channel.style(f"{error.name}:{at}", "name")
        path = f"{problem.path}: " if problem.path else ""
        instead = f" — {channel.style(problem.instead, 'hint')}" if problem.instead else ""
        channel.line(f"{place} {path}{problem.message}{instead}")
    channel.line(f"{channel.style('error:', 'error')} {error.what}")
    _show_hint(channel, error)


def _show_hint(channel: Channel, error: GroundplaneError) -> None:
    if error.hint:
        channel.line(f"  {channel.style('next:', 'hint')} {error.hint}")


def _show_unexpected(channel: Channel, error: BaseException, *, verbose: bool) -> None:
    from groundplane.spec.problem import visible

    words = ": ".join(filter(None, (type(error).__name__, next(iter(str(error).splitlines()), ""))))
    channel.line(
        f"{channel.style('error:', 'error')} groundplane itself failed, which is a fault of it: {visible(words)}"
    )
    if verbose:
        _show_traceback(channel, error)
    else:
        channel.line(f"  {channel.style('next:', 'hint')} run the same command with -v and report what it shows")


def _show_traceback(channel: Channel, error: BaseException) -> None:
    for line in "".join(traceback.format_exception(error)).rstrip().splitlines():
        channel.line(channel.style(f"    {line}", "dim"))


def _spec_document(out: Output, error: SpecError) -> None:
    from groundplane.spec.problem import InvalidCluster

    content: dict[str, object] = {"file": error.where, "valid": False, "problems": ()}
    if isinstance(error, InvalidCluster):
        content |= {"file": error.given, "problems": error.problems, "more": error.more}
    out.document("validate", content)
