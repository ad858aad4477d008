"""What a rule has to say: about which place of the file, what is wrong, and what to write instead."""

from __future__ import annotations

from dataclasses import dataclass

from groundplane.spec.problem import Path
from groundplane.spec.remedy import Remedy


@dataclass(frozen=True, slots=True)
class Violation:
    """``instead`` names no value that another rule might refuse; ``remedies`` do, and are shown where they hold.

    ``at_key``: the key rather than its value is what to look at.
    """

    path: Path
    message: str
    instead: str
    at_key: bool = False
    remedies: tuple[Remedy, ...] = ()
