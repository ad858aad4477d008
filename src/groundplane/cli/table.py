"""The live table of progress, drawn with Rich: one row per subject, never taller than the terminal."""

from __future__ import annotations

from rich.table import Table
from rich.text import Text

from groundplane.cli.board import Board, Row
from groundplane.cli.output import duration

FRAMES = "⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏"
PLAIN_FRAMES = "|/-\\"


def drawn(board: Board, now: float, *, height: int, unicode: bool = True) -> Table:
    """The table at ``now`` (monotonic seconds). Of more rows than ``height`` the finished ones give way."""
    table = Table.grid(padding=(0, 1), expand=True)
    table.add_column(no_wrap=True)
    table.add_column(no_wrap=True, style="bold")
    table.add_column(no_wrap=True, overflow="ellipsis", ratio=1)
    table.add_column(no_wrap=True, justify="right", style="dim")
    rows = board.ordered
    whole = f"{board.ended} of {len(board.planned)} done" if board.planned and any(row.running for row in rows) else ""
    shown = _fitting(rows, height - bool(whole))
    for row in shown:
        table.add_row(*_cells(row, now, unicode))
    if hidden := len(rows) - len(shown):
        table.add_row("", "", Text(f"{hidden} more", style="dim"), "")
    if whole:
        since = min(row.begin for row in rows)
        table.add_row("", "", Text(whole, style="bold"), Text(duration(max(now - since, 0))))
    return table


def _fitting(rows: list[Row], height: int) -> list[Row]:
    if len(rows) <= height:
        return rows
    room = max(height - 1, 1)
    first = sorted(rows, key=lambda row: (not row.failures, not row.running))[:room]
    return [row for row in rows if row in first]


def _cells(row: Row, now: float, unicode: bool) -> tuple[Text, Text, Text, Text]:
    name = Text(row.subject)
    if (step := row.current) is not None:
        others = f" (+{len(row.told) - 1})" if len(row.told) > 1 else ""
        frames = FRAMES if unicode else PLAIN_FRAMES
        mark = Text(frames[int(now * 8) % len(frames)], style="cyan")
        return mark, name, Text(f"{step.text}{others}"), Text(duration(max(now - step.begin, 0)))
    if row.failures:
        mark = Text("✗" if unicode else "x", style="red")
        return mark, name, Text(row.summary.splitlines()[0], style="red"), Text(duration(row.last - row.begin))
    mark = Text("✓" if unicode else "+", style="green")
    return mark, name, Text(row.summary, style="dim"), Text(duration(row.last - row.begin))
