"""What a rule has to say: about which place of the file, what is wrong, and what to write instead."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from groundplane.spec.model import ClusterSpec
from groundplane.spec.problem import Path
from groundplane.spec.remedy import Remedy


def by_nobody(_: ClusterSpec) -> bool:
    return False


@dataclass(frozen=True, slots=True)
class Violation:
    """``instead`` names no value that another rule might refuse; ``remedies`` do, and are shown where they hold.

    ``at_key``: the key rather than its value is what to look at. ``borne``: whether a platform that was built bears the
    value that is wrong by itself, and can't get another one.
    """

    path: Path
    message: str
    instead: str
    at_key: bool = False
    remedies: tuple[Remedy, ...] = ()
    borne: Callable[[ClusterSpec], bool] = by_nobody
