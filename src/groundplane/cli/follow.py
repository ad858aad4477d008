"""Showing a log that grows."""

from __future__ import annotations

from pathlib import Path
from typing import BinaryIO

from groundplane.errors import StoreError
from groundplane.verify.condition import NotYet, wait_until

CHUNK = 65536


async def copy_log(path: Path, out: BinaryIO, *, follow: bool) -> None:
    """Copy the file to ``out`` and, where ``follow``, what is added to it, without end."""
    log = Log(path, out)
    if not log.copy():
        raise StoreError("there is no console log", where=str(path), hint="build the machine with: groundplane up")
    while follow:
        await wait_until("more of the log", log.more, deadline=float("inf"), every=0.2)


class Log:
    """A log file and how far it was copied. One that was replaced or cut (a machine made anew) is begun again."""

    def __init__(self, path: Path, out: BinaryIO) -> None:
        self._path = path
        self._out = out
        self._position = 0
        self._inode = 0

    async def more(self) -> None:
        """Copy what was added; NotYet where nothing was."""
        if not self.copy():
            raise NotYet("nothing new")

    def copy(self) -> bool:
        """Copy what is new; return whether there was a file and anything new in it. StoreError if it can't be read."""
        try:
            found = self._path.stat()
            if found.st_ino != self._inode or found.st_size < self._position:
                self._position = 0
            elif found.st_size == self._position:
                return False
            self._inode = found.st_ino
            with self._path.open("rb") as file:
                file.seek(self._position)
                content = file.read(CHUNK)
                while content:
                    self._position += len(content)
                    self._out.write(content)
                    content = file.read(CHUNK)
        except FileNotFoundError:
            return False
        except PermissionError as error:
            raise StoreError("the console log can't be read: permission denied", where=str(self._path)) from error
        self._out.flush()
        return True
