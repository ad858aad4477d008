"""Traits to bytes and back."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, fields, replace

from groundplane.errors import StoreError
from groundplane.topology.model import Traits


def traits_to_json(traits: Traits) -> bytes:
    """The same traits give the same bytes."""
    return json.dumps(asdict(traits), indent=2, sort_keys=True).encode() + b"\n"


def traits_from_json(raw: bytes, look: Callable[[], Traits]) -> Traits:
    """What ``traits_to_json`` wrote. ``look`` finds what an older groundplane didn't know of yet.

    Raises StoreError for anything else, and for traits that only a newer groundplane knows.
    """
    try:
        read: object = json.loads(raw)
    except (ValueError, RecursionError):
        read = None
    kinds = {field.name: type(field.default) for field in fields(Traits)}
    if not isinstance(read, dict) or any(type(read[name]) is not kinds[name] for name in read.keys() & kinds.keys()):
        raise StoreError(
            "what is remembered of the machines' traits is damaged",
            hint="move the file away and run `groundplane up` on the computer that the platform was built on",
        )
    if unknown := sorted(read.keys() - kinds.keys()):
        raise StoreError(
            f"machines have traits this groundplane doesn't know: {', '.join(unknown)}",
            hint="use the groundplane that wrote them, or a newer one",
        )
    return replace(look() if kinds.keys() - read.keys() else Traits(), **read)
