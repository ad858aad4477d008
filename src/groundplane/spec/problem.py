"""What is wrong with a cluster file, in a form that can be shown beside its lines."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from groundplane.errors import SpecError

Path = tuple[str | int, ...]


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
    """A cluster file that can't be used. ``problems`` are all that were found, in the order of the file's lines;
    ``text`` is the file as far as it could be read, for showing it annotated; ``platform`` is the platform it names,
    where that much is sure."""

    def __init__(self, name: str, problems: Iterable[Problem], text: str = "", platform: str = "") -> None:
        self.name = name
        self.text = text
        self.platform = platform
        self.problems = tuple(sorted(set(problems)))
        count = len(self.problems)
        super().__init__(
            "the cluster file has one problem" if count == 1 else f"the cluster file has {count} problems",
            where=name,
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
    """A value of the file for a message: one line, printable, at most ``limit`` characters."""
    text = "".join(character if character.isprintable() else "\N{REPLACEMENT CHARACTER}" for character in str(value))
    return text if len(text) <= limit else text[: limit - 1] + "…"
