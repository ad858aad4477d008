"""Where our own things lie on this computer, after the XDG base directory specification.

<state>/format                  the layout's version
<state>/journal.sqlite          what was done, to every platform; outlives ``down``
<state>/locks/<name>.lock       one per platform, stays
<state>/platforms/<name>/       secrets and what the provider remembers
<cache>/                        bundles and images: can be made again
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from groundplane.errors import StoreError
from groundplane.store.files import private_folder, read_private, write_private

FORMAT = 2
"""Version of the layout above and of what is remembered of a platform's file; raise it whenever an older groundplane
could misread either. 2: ``remembered`` has the keys that were written, and there is ``next.json``."""


@dataclass(frozen=True, slots=True)
class Home:
    """The two folders everything of ours lies in. Nothing is made on disk before ``prepare``."""

    state: Path
    cache: Path

    @classmethod
    def find(
        cls,
        state_dir: Path | None = None,
        cache_dir: Path | None = None,
        environ: Mapping[str, str] = os.environ,
    ) -> Home:
        """The folders asked for, else $XDG_STATE_HOME/groundplane and $XDG_CACHE_HOME/groundplane."""
        return cls(
            state=_absolute(state_dir) or _xdg(environ, "XDG_STATE_HOME", ".local/state"),
            cache=_absolute(cache_dir) or _xdg(environ, "XDG_CACHE_HOME", ".cache"),
        )

    @property
    def journal(self) -> Path:
        return self.state / "journal.sqlite"

    def platform(self, name: str) -> Path:
        """The folder of platform ``name``, whether it exists or not."""
        return self.state / "platforms" / _plain(name)

    def lock(self, name: str) -> Path:
        return self.state / "locks" / f"{_plain(name)}.lock"

    def prepare(self) -> Home:
        """Make the state folders, 0700, and mark their version; StoreError where a newer groundplane wrote them.

        An older mark is raised: from here on something of today's format may lie there. What is of an older one is
        read as that, and written anew as today's when it is next written."""
        private_folder(self.state)
        if self.check() != FORMAT:
            write_private(self.state / "format", f"{FORMAT}\n".encode())
        private_folder(self.state / "locks")
        private_folder(self.state / "platforms")
        return self

    def prepared_cache(self) -> Path:
        """The cache folder, made with mode 0700: what lies there is run as root."""
        return private_folder(self.cache)

    def check(self) -> int:
        """The format that is marked, 0 where none is; StoreError where this version can't read it."""
        mark = read_private(self.state / "format")
        if mark is None:
            return 0
        try:
            found = int(mark)
        except ValueError as error:
            raise StoreError(
                "the file that states the format of groundplane's state is damaged",
                where=str(self.state / "format"),
                hint=f"put it back with: echo {FORMAT} > {self.state / 'format'}",
            ) from error
        if found > FORMAT:
            raise newer(self.state, found)
        return found


def state_of(platform: Path) -> Path:
    """The state folder in which the folder of a platform lies."""
    return platform.parent.parent


def newer(where: Path, found: int) -> StoreError:
    """The StoreError for what is of a format that only a newer groundplane knows."""
    return StoreError(
        f"written by a newer groundplane (format {found}, this one knows {FORMAT})",
        where=str(where),
        hint="use that newer groundplane, or another folder with --state-dir",
    )


def _absolute(path: Path | None) -> Path | None:
    return None if path is None else path.expanduser().absolute()


def _xdg(environ: Mapping[str, str], variable: str, fallback: str) -> Path:
    # The specification: a relative path in these variables is invalid and to be ignored.
    value = environ.get(variable, "")
    base = Path(value) if value.startswith("/") else Path(environ.get("HOME") or Path.home()) / fallback
    return base / "groundplane"


def _plain(name: str) -> str:
    if not name or name != Path(name).name or name.startswith("."):
        raise StoreError(f"not a platform's name: {name!r}")
    return name
