"""What a run had begun and not brought to its end: files that were replaced, and units that have yet to take them up.

Written before the first file is replaced and dropped once every unit holds, so a run that was killed in between is
finished by the next one, and can still be undone by it.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Replaced:
    """A file that was put in place, removed, or is about to be. ``kept`` says whether there was one before."""

    path: str
    kept: bool


@dataclass(frozen=True, slots=True)
class Pending:
    """``restart`` and ``reload`` are units' names."""

    files: tuple[Replaced, ...] = ()
    restart: tuple[str, ...] = ()
    reload: tuple[str, ...] = ()

    def kept(self, path: str) -> Replaced | None:
        return next((file for file in self.files if file.path == path), None)
