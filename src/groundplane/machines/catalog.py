"""Every kind of provider. To add one: its word in ``spec.model.Provider``, its folder here, its row below, and one in
``spec/providers.py``; without a row nothing can be imported."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from groundplane.machines.base import ProviderKind
from groundplane.machines.lab.kind import LabKind
from groundplane.spec.exhaustive import exhaustive
from groundplane.spec.model import ProviderName

KINDS: Final[Mapping[ProviderName, ProviderKind]] = exhaustive(ProviderName, {ProviderName.LAB: LabKind()})


def kind_of(provider: ProviderName) -> ProviderKind:
    """The kind that a file's ``provider:`` names."""
    return KINDS[provider]
