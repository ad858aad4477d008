"""Whose software is in the bundle and under which licence, read from the licence files themselves."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final

from groundplane.oci.layer import Entry

_FILES: Final = re.compile(r"(LICEN[CS]E|COPYING|NOTICE|COPYRIGHT)([-._].*)?", re.IGNORECASE)
_SIZE_LIMIT: Final = 1 << 20  # bytes; a larger file of such a name is something else

# Told apart by words only one of them has, the most particular first.
_WORDS: Final[tuple[tuple[str, tuple[str, ...]], ...]] = (
    ("MPL-2.0", ("mozilla public license", "2.0")),
    ("Apache-2.0", ("apache license", "version 2.0")),
    ("BSD-3-Clause", ("redistribution and use in source and binary forms", "endorse or promote")),
    ("BSD-2-Clause", ("redistribution and use in source and binary forms",)),
    ("ISC", ("permission to use, copy, modify, and", "for any purpose with or without fee")),
    ("MIT", ("permission is hereby granted, free of charge",)),
    ("Unlicense", ("this is free and unencumbered software",)),
    ("CC0-1.0", ("cc0 1.0 universal",)),
)


def licence_files(folder: Path) -> tuple[Path, ...]:
    """The licence and notice files at the top of a module, in name order."""
    if not folder.is_dir():
        return ()
    found = (path for path in folder.iterdir() if _FILES.fullmatch(path.name) and path.is_file())
    return tuple(sorted(path for path in found if path.stat().st_size <= _SIZE_LIMIT))


def recognised(texts: Iterable[str]) -> str:
    """An SPDX expression for licence texts; "" where none is recognised, which is said rather than guessed."""
    names = {name for text in texts if (name := _recognise(text))}
    return " AND ".join(sorted(names))


def licence_entries(prefix: str, files: Iterable[Path]) -> Iterator[Entry]:
    """The files as entries of a licence archive, below ``/prefix``."""
    for path in files:
        yield Entry(f"/{prefix}/{path.name}", path.read_bytes())


def _recognise(text: str) -> str:
    plain = " ".join(text.lower().split())
    return next((name for name, words in _WORDS if all(word in plain for word in words)), "")
