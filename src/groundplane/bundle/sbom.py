"""The bundle's bill of materials: CycloneDX 1.5, one application per part and what it's made of below it.

Neither a date nor a serial number is in it: the same bundle has the same bill.
"""

from __future__ import annotations

import json
from collections.abc import Iterable

from groundplane.bundle.media import COMPONENTS, PART_NAME
from groundplane.bundle.record import PartRecord, SbomComponent
from groundplane.errors import BundleError
from groundplane.oci.layout import LICENCE, VERSION, BlobStore, Manifest, canonical


def make_sbom(blobs: BlobStore, kubernetes: str, records: Iterable[PartRecord]) -> bytes:
    """CycloneDX JSON of the parts."""
    return canonical(
        {
            "bomFormat": "CycloneDX",
            "specVersion": "1.5",
            "version": 1,
            "metadata": {"component": {"type": "platform", "name": "groundplane-bundle", "version": kubernetes}},
            "components": [_part(blobs, record) for record in records],
        }
    )


def components_of(blobs: BlobStore, record: PartRecord) -> tuple[SbomComponent, ...]:
    """What a part says it's made of; empty for parts that came ready-made."""
    manifest = Manifest.parse(blobs.read(record.part))
    for layer in manifest.layers:
        if layer.media_type == COMPONENTS:
            try:
                return tuple(SbomComponent(**raw) for raw in json.loads(blobs.read(layer)))
            except (TypeError, ValueError) as error:
                raise BundleError("a part's component list can't be read", where=layer.digest) from error
    return ()


def _part(blobs: BlobStore, record: PartRecord) -> dict[str, object]:
    name, version = record.part.annotation(PART_NAME), record.part.annotation(VERSION)
    return {
        "type": "application",
        "bom-ref": f"{name}@{version}",
        "name": name,
        "version": version,
        "licenses": [{"expression": record.part.annotation(LICENCE)}],
        "components": [_component(name, component) for component in components_of(blobs, record)],
    }


def _component(part: str, component: SbomComponent) -> dict[str, object]:
    plain: dict[str, object] = {
        "type": "library",
        "bom-ref": f"{part}:{component.purl}",
        "name": component.name,
        "version": component.version,
        "purl": component.purl,
    }
    if component.licence:
        plain["licenses"] = [{"expression": component.licence}]
    if component.hash:
        plain["properties"] = [{"name": "go.sum", "value": component.hash}]
    return plain
