"""What is wrong with a cluster file, in a form that can be shown beside its lines."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from unicodedata import name as name_of

from groundplane.errors import SpecError

Path = tuple[str | int, ...]

_ODD = re.compile("[^ -~]")

# So many problems are told; of the others only their number, for nobody reads on before these are mended.
MOST = 100


@dataclass(frozen=True, slots=True, order=True)
class Problem:
    """One thing wrong.

    ``line`` and ``column`` count from 1, in the user's own file; both are 0 where there are no lines to look at
    (a file that is missing, or far too large). ``path`` names the key (``machines[2].name``; empty:
    the file as a whole), ``message`` says what is wrong, ``instead`` what to write.
    """

    line: int
    column: int
    path: str
    message: str
    instead: str

    def __str__(self) -> str:
        return f"{self.where}{self.message}; {self.instead}" if self.instead else f"{self.where}{self.message}"

    @property
    def where(self) -> str:
        """``line 3, network.lan: ``, as far as there is such a place; begins a sentence."""
        if not self.line:
            return ""
        return f"line {self.line}, {self.path}: " if self.path else f"line {self.line}: "


class InvalidCluster(SpecError):
    """A cluster file that can't be used. ``problems`` are the first ``MOST`` that were found, in the order of the
    file's lines, ``more`` is how many others there are; ``given`` is what the file is called, ``name`` the same fit for
    a terminal; ``text`` is the file as far as it could be read, for showing it annotated; ``platform`` is the platform
    it names, where that much is sure."""

    def __init__(
        self, name: str, problems: Iterable[Problem], text: str = "", platform: str = "", more: int = 0
    ) -> None:
        self.given = name
        self.name = visible(name)
        self.text = text
        self.platform = platform
        found = sorted(set(problems))
        self.problems = tuple(found[:MOST])
        count = len(found) + more
        self.more = count - len(self.problems)
        what = "the cluster file has one problem" if count == 1 else f"the cluster file has {count} problems"
        super().__init__(
            f"{what}, of which the first {MOST} are told" if self.more else what,
            where=self.name,
            hint="`groundplane explain` shows every key with its type and default",
            detail="\n".join(str(problem) for problem in self.problems),
        )


def dotted(path: Path) -> str:
    """Write a path as users do: ``machines[2].name``."""
    text = ""
    for part in path:
        if isinstance(part, int):
            text += f"[{part}]"
        else:
            text += f".{shown(part)}" if text else shown(part)
    return text


def shown(value: object, limit: int = 60) -> str:
    """A value of the file for a message: one line, at most ``limit`` characters, and a little more where some of them
    are told by their code point."""
    text = str(value)
    return visible(text) if len(text) <= limit else visible(text[: limit - 1]) + "…"


def visible(text: str) -> str:
    """``text`` with the code point of whatever can't be seen, or would end the line or steer a terminal."""
    return "".join(character if character.isprintable() else f"<U+{ord(character):04X}>" for character in text)


def unexpected(text: str) -> str:
    """The first character of ``text`` beyond ASCII's printable ones, as ``U+00A0 NO-BREAK SPACE``; empty without one.

    A look-alike letter or a blank that is none can't be told from the right one by eye.
    """
    odd = _ODD.search(text)
    return f"U+{ord(odd[0]):04X} {name_of(odd[0], '')}".rstrip() if odd else ""
