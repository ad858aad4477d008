"""What the rules of the file have to know of each provider; all else about it is in ``machines/catalog.py``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from groundplane.spec.exhaustive import exhaustive
from groundplane.spec.model import ClusterSpec, ProviderName

DEFAULT: Final[ProviderName] = ClusterSpec.model_fields["provider"].default
"""The provider of a file that names none."""

OPERATOR_ON_LAN: Final[Mapping[ProviderName, bool]] = exhaustive(ProviderName, {ProviderName.LAB: True})
"""Whether the computer groundplane runs on takes an address of its own on the machines' LAN."""
