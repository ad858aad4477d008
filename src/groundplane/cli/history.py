"""Commands that read the journal."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Final

import typer

from groundplane.cli.output import Channel, columns, duration
from groundplane.cli.session import Session, command, with_common

if TYPE_CHECKING:
    from groundplane.store import JournalEntry, RunRecord

STYLES: Final[Mapping[str, str]] = {"done": "good", "failed": "bad", "interrupted": "warn", "running": "hint"}


def register(app: typer.Typer) -> None:
    """Add ``history`` and ``history show`` to ``app``."""
    group = typer.Typer(invoke_without_command=True, help="What was done to platforms, by whom, and how it ended.")
    group.callback()(with_common(listing, json=True, alone=True))
    command(group, "show", json=True)(show)
    app.add_typer(group, name="history", rich_help_panel="Platform")


def listing(
    session: Session,
    limit: Annotated[int, typer.Option("--limit", "-n", min=1, help="How many runs, newest first.")] = 20,
    platform: Annotated[str, typer.Option("--platform", help="Only this platform's.", show_default=False)] = "",
) -> None:
    """What was done to platforms, by whom, and how it ended."""
    from groundplane.store import runs

    found = runs(session.home, platform=platform, limit=limit)
    if session.json:
        session.out.document("history", {"runs": found})
        return
    if not found:
        session.out.tell(f"nothing is recorded in {session.home.journal}; root's own is seen with sudo")
        return
    rows = [
        (str(run.id), _local(run), run.platform, run.command, _outcome(run, session.out.result), _took(run), run.user)
        for run in found
    ]
    head = ("RUN", "STARTED", "PLATFORM", "COMMAND", "OUTCOME", "TOOK", "USER")
    for line in columns(rows, session.out.result, head=head):
        session.out.say(line)


def show(
    session: Session, run: Annotated[int, typer.Argument(help="The run's number.", metavar="RUN", show_default=False)]
) -> None:
    """One run, step by step."""
    from groundplane.store import show as shown

    found, entries = shown(session.home, run)
    if session.json:
        session.out.document("history-show", {"run": found, "entries": entries})
        return
    channel = session.out.result
    session.out.say(f"{channel.style(f'{found.command} {found.platform}', 'name')}: {_outcome(found, channel)}")
    session.out.say(
        f"  {_local(found)} by {found.user} on {found.host}, took {_took(found)}, groundplane {found.version}"
    )
    if found.digest:
        session.out.say(f"  cluster file sha256:{found.digest}")
    if found.error:
        session.out.say(f"  {channel.style(found.error, 'bad')}")
    for line in columns([_row(entry, channel) for entry in entries if _tells(entry, entries)], channel):
        session.out.say(line)


def _tells(entry: JournalEntry, entries: tuple[JournalEntry, ...]) -> bool:
    """Whether the entry says something that a later one doesn't: a start does where no end followed."""
    if entry.kind != "started":
        return True
    key = (entry.subject, entry.step)
    return not any((other.subject, other.step) == key and other.at >= entry.at for other in entries if other != entry)


def _row(entry: JournalEntry, channel: Channel) -> tuple[str, ...]:
    took = "" if entry.seconds is None else duration(entry.seconds)
    match entry.kind:
        case "failed":
            word = channel.style("failed", "bad")
        case "finished":
            word = channel.style("done", "good") if entry.changed else channel.style("held", "dim")
        case _:
            word = channel.style("not ended", "warn")
    return f"+{duration(entry.at)}", entry.subject, entry.step, word, took, entry.note


def _local(run: RunRecord) -> str:
    return run.started.astimezone().strftime("%Y-%m-%d %H:%M:%S")


def _outcome(run: RunRecord, channel: Channel) -> str:
    return channel.style(run.outcome.value, STYLES[run.outcome.value])


def _took(run: RunRecord) -> str:
    return "" if run.ended is None else duration((run.ended - run.started).total_seconds())
