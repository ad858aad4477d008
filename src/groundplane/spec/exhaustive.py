"""Tables that have a row for each word of the file that picks one."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType
from typing import TypeVar

K = TypeVar("K", bound=StrEnum)
V = TypeVar("V")


def exhaustive(words: type[K], rows: Mapping[K, V]) -> Mapping[K, V]:
    """``rows``, read-only, which have one for each of ``words``; LookupError naming those that were forgotten.

    Called where a table is written down, so that a word without a row fails when the module is loaded, not when a user
    is the first to write it.
    """
    if forgotten := [word.value for word in words if word not in rows]:
        raise LookupError(f"no row for {words.__name__} {', '.join(forgotten)}")
    return MappingProxyType(dict(rows))
