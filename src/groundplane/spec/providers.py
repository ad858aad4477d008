"""What the rules of the file have to know of each provider; all else about it is in ``machines/catalog.py``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from groundplane.spec.exhaustive import exhaustive
from groundplane.spec.model import ClusterSpec, Provider

DEFAULT: Final[Provider] = ClusterSpec.model_fields["provider"].default
"""The provider of a file that names none."""

OPERATOR_ON_LAN: Final[Mapping[Provider, bool]] = exhaustive(Provider, {Provider.LAB: True})
"""Whether the computer groundplane runs on takes an address of its own on the machines' LAN."""
