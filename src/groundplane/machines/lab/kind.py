"""The lab as one of the kinds of providers. What is heavy to load is imported where it is used."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final

from groundplane.machines.base import HostFinding, Material, Tree
from groundplane.topology.model import Topology, Traits

if TYPE_CHECKING:
    from groundplane.events import Emit
    from groundplane.machines.lab.provider import LabProvider


class LabKind:
    """Machines as system containers of this computer."""

    needs_root: Final = True  # for network namespaces and control groups
    expendable: Final = True
    material: Final = frozenset(Tree)

    def traits(self) -> Traits:
        from groundplane.machines.lab.traits import traits

        return traits()

    def examine(self, state: Path) -> tuple[HostFinding, ...]:
        from groundplane.machines.lab.host import examine

        return examine(state)

    def provider(self, topology: Topology, material: Material | None, folder: Path, emit: Emit) -> LabProvider:
        from groundplane.machines.lab.host import require_entry, require_lab
        from groundplane.machines.lab.provider import LabProvider
        from groundplane.machines.lab.rootfs import Trees

        if material is None:
            require_entry()
        else:
            require_lab(folder)
        return LabProvider(topology, Trees.of(material) if material else None, folder, emit)
