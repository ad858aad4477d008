"""Names that come from outside and become paths here, so only well-formed ones may pass."""

from __future__ import annotations

import re
from pathlib import PurePosixPath
from typing import Final

from groundplane.errors import BundleError

_WORD: Final = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*"

FULL_REFERENCE: Final = re.compile(rf"(?=[^/]*\.){_WORD}(?:/{_WORD})+:[A-Za-z0-9_][A-Za-z0-9._-]{{0,127}}")
"""The distribution project's grammar for a host without a port, a repository and a tag."""


def checked_reference(reference: str, where: str) -> str:
    """``reference`` if it is a full image name: it becomes a folder of the registry's storage."""
    if not FULL_REFERENCE.fullmatch(reference):
        raise BundleError(f"{reference!r} is not a full image name", where=where)
    return reference


def checked_program(path: str, where: str) -> str:
    """``path`` if it is absolute and never leads upwards: it becomes a file below a tree."""
    if not path.startswith("/") or path.endswith("/") or "\0" in path or ".." in PurePosixPath(path).parts:
        raise BundleError(f"{path!r} is no place for a program", where=where)
    return path
