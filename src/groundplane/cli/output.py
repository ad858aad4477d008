"""Writing: results to stdout, everything else to stderr, colours on a terminal only."""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, is_dataclass
from datetime import date
from enum import Enum
from ipaddress import IPv4Address, IPv4Interface, IPv4Network, IPv6Network
from pathlib import Path
from typing import Final, TextIO

Plain = None | bool | int | float | str | list["Plain"] | dict[str, "Plain"]
"""What JSON can say."""

STYLES: Final[Mapping[str, str]] = {
    "good": "32",
    "bad": "31",
    "warn": "33",
    "name": "1",
    "dim": "2",
    "error": "1;31",
    "hint": "36",
}
"""SGR parameters (ECMA-48) by what a word means."""

# A colour, or any one control character but a line's end and a tab.
_CONTROL: Final = re.compile("\x1b\\[[0-9;]*m|[\x00-\x08\x0b-\x1f\x7f-\x9f]")


@dataclass(frozen=True, slots=True)
class Channel:
    """One stream. ``terminal``: somebody looks at it; ``colour``: and wants colours."""

    stream: TextIO
    terminal: bool
    colour: bool

    @property
    def unicode(self) -> bool:
        """Whether marks such as ✓ can be written."""
        return "utf" in (getattr(self.stream, "encoding", "") or "").lower()

    def style(self, text: str, style: str) -> str:
        """``text`` in the colour of what it means, where this channel has colours."""
        return f"\x1b[{STYLES[style]}m{text}\x1b[0m" if self.colour and text else text

    def mark(self, ok: bool) -> str:
        """A tick or a cross."""
        word = ("✓" if ok else "✗") if self.unicode else ("ok" if ok else "FAILED")
        return self.style(word, "good" if ok else "bad")

    def line(self, text: str = "") -> None:
        """Write one line. Characters this stream's encoding lacks come out as escapes, never as an error; those that
        steer a terminal, but for our own colours, by their code points: a file's name may have them, or its values."""
        encoding = getattr(self.stream, "encoding", None) or "utf-8"
        text = _CONTROL.sub(self._told, text)
        self.stream.write(text.encode(encoding, "backslashreplace").decode(encoding) + "\n")
        self.stream.flush()

    def _told(self, found: re.Match[str]) -> str:
        ours = self.colour and len(found[0]) > 1
        return found[0] if ours else f"<U+{ord(found[0][0]):04X}>{found[0][1:]}"


@dataclass(frozen=True, slots=True)
class Output:
    """The two channels of a command."""

    result: Channel
    note: Channel

    @classmethod
    def standard(cls, *, colour: bool = True, environ: Mapping[str, str] = os.environ) -> Output:
        """This process's streams. NO_COLOR (https://no-color.org) and TERM=dumb mean no colours."""
        wanted = colour and not environ.get("NO_COLOR") and environ.get("TERM") != "dumb"
        return cls(*(Channel(s, s.isatty(), wanted and s.isatty()) for s in (sys.stdout, sys.stderr)))

    def say(self, text: str = "") -> None:
        """One line of the result."""
        self.result.line(text)

    def tell(self, text: str = "") -> None:
        """One line beside the result."""
        self.note.line(text)

    def document(self, name: str, content: Mapping[str, object]) -> None:
        """The result as JSON: ``content`` under its schema's name; docs/json.md describes each."""
        self.result.line(_as_json(_document(name, content), indent=2))

    def line(self, name: str, content: Mapping[str, object]) -> None:
        """The same in one line, for results that go on coming."""
        self.result.line(_as_json(_document(name, content), indent=None))


def _as_json(document: dict[str, Plain], indent: int | None) -> str:
    """JSON escapes the older control characters by itself; the rest are escaped here."""
    text = json.dumps(document, indent=indent, ensure_ascii=False)
    return re.sub("[\x7f-\x9f]", lambda found: f"\\u{ord(found[0]):04x}", text)


def _document(name: str, content: Mapping[str, object]) -> dict[str, Plain]:
    return {"schema": f"groundplane/{name}/v1", **{key: plain(value) for key, value in content.items()}}


def plain(value: object) -> Plain:
    """``value`` as JSON can say it: dataclasses become objects by their fields. TypeError for a secret."""
    from groundplane.topology.model import Secret

    match value:
        case Enum():
            return plain(value.value)
        case None | bool() | int() | float() | str():
            return value
        case date():  # a datetime is one
            return value.isoformat()
        case Path() | IPv4Address() | IPv4Interface() | IPv4Network() | IPv6Network():
            return str(value)
        case Secret():
            raise TypeError("a secret is not part of any document")
        case Mapping():
            return {str(key): plain(inner) for key, inner in value.items()}
        case Sequence() if not isinstance(value, bytes):
            return [plain(inner) for inner in value]
    if is_dataclass(value) and not isinstance(value, type):
        return {field.name: plain(getattr(value, field.name)) for field in fields(value)}
    raise TypeError(f"{type(value).__name__} is not part of any document")


def columns(rows: Sequence[Sequence[str]], channel: Channel, *, head: Sequence[str] = ()) -> list[str]:
    """Lay ``rows`` out in columns as wide as they need; ``head`` is dimmed. Styled cells count by what is seen."""
    table = [[channel.style(cell, "dim") for cell in head], *rows] if head else [*rows]
    widths: dict[int, int] = {}
    for row in table:
        for index, cell in enumerate(row):
            widths[index] = max(widths.get(index, 0), seen_width(cell))
    return [
        "  ".join(cell + " " * (widths[i] - seen_width(cell)) for i, cell in enumerate(row)).rstrip() for row in table
    ]


def seen_width(text: str) -> int:
    """How many characters of ``text`` are seen; colour sequences aren't."""
    width, inside = 0, False
    for character in text:
        if character == "\x1b":
            inside = True
        elif inside:
            inside = character != "m"
        else:
            width += 1
    return width


def counted(count: int, noun: str) -> str:
    """``1 machine``, ``2 machines``."""
    return f"{count} {noun}{'' if count == 1 else 's'}"


def duration(seconds: float) -> str:
    """As ``3.2 s``, ``48 s``, ``4 min 10 s`` or ``2 h 5 min``."""
    if seconds < 9.95:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"


def size(amount: float) -> str:
    """Bytes as ``512 MiB`` or ``2.4 GiB``."""
    for unit in ("B", "KiB", "MiB"):
        if amount < 1000:
            return f"{amount:.0f} {unit}"
        amount /= 1024
    return f"{amount:.1f} GiB"
