"""The bundle cache: one blob store all versions share, and one OCI layout per version, hard-linked from it.

<cache>/blobs/sha256/…     every blob once
<cache>/records/…          finished parts by the digest of their inputs
<cache>/<version>/         a layout: oci-layout, index.json, blobs
<cache>/trees/<digest>/…   what machines are given, made from a layout
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from groundplane.bundle.bundle import FORMAT, Bundle, open_bundle
from groundplane.bundle.media import SBOM
from groundplane.bundle.record import PartRecord
from groundplane.bundle.sbom import make_sbom
from groundplane.oci.files import link_or_copy, write_atomically
from groundplane.oci.layout import EMPTY, INDEX, MANIFEST, TITLE, VERSION, BlobStore, Descriptor, Manifest, canonical


def publish(kubernetes: str, records: Sequence[PartRecord], cache: Path) -> Bundle:
    """Make the layout of finished parts, with their bill of materials."""
    store = BlobStore(cache)
    bill = _add_bill(store, kubernetes, records)
    descriptors = [*(descriptor for record in records for descriptor in record.descriptors), bill]
    index = {
        "schemaVersion": 2,
        "mediaType": INDEX,
        "manifests": [descriptor.to_json() for descriptor in descriptors],
        "annotations": {VERSION: kubernetes},
    }
    return publish_index(canonical(index), descriptors, kubernetes, cache)


def publish_index(index: bytes, descriptors: Sequence[Descriptor], kubernetes: str, cache: Path) -> Bundle:
    """Write a layout: its blobs first, the index last, so that a reader sees all of it or what was before."""
    store, layout = BlobStore(cache), cache / kubernetes
    own = BlobStore(layout)
    wanted: set[str] = set()
    for descriptor in descriptors:
        manifest = Manifest.parse(store.read(descriptor))
        wanted.update(blob.digest for blob in (descriptor, manifest.config, *manifest.layers))
    for digest in sorted(wanted):
        link_or_copy(store.path(digest), own.path(digest))
    write_atomically(layout / "oci-layout", FORMAT)
    write_atomically(layout / "index.json", index)
    for path in own.folder.iterdir():
        if f"sha256:{path.name}" not in wanted:
            path.unlink()
    return open_bundle(layout)


def _add_bill(store: BlobStore, kubernetes: str, records: Sequence[PartRecord]) -> Descriptor:
    layer = store.add(make_sbom(store, kubernetes, records), SBOM).annotated({TITLE: "sbom.cdx.json"})
    manifest = Manifest(store.add(b"{}", EMPTY), (layer,), artifact_type=SBOM)
    return replace(store.add_json(manifest.to_json(), MANIFEST), artifact_type=SBOM)
