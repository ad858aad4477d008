"""What a source hands over for one part: a manifest that lists its pieces, and its images.

The part manifest is an OCI artifact whose layers are the host programs, the licence texts and the list of
components; a part that is only a base for others (netbase) keeps its layer there. Everything the bundle
knows about a part is in it, so that an exported layout needs no records beside it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from groundplane.bundle.media import BINARY, COMPONENTS, LICENCES, PART, PART_NAME, SOURCE
from groundplane.bundle.versions import PartSpec
from groundplane.oci.files import digest_of, sha256, write_atomically
from groundplane.oci.layer import Entry, add_layer
from groundplane.oci.layout import (
    EMPTY,
    LAYER,
    LICENCE,
    MANIFEST,
    TITLE,
    VERSION,
    BlobStore,
    Descriptor,
    Manifest,
    canonical,
    parse_json,
)

INPUTS: Final = "dev.groundplane.inputs"
_FORMAT: Final = "1"  # part of every key: raise it when the same inputs come to give other bytes


@dataclass(frozen=True, slots=True)
class SbomComponent:
    """Something a part contains: a Go module, a Debian package. ``hash`` is as its ecosystem writes it."""

    name: str
    version: str
    purl: str
    licence: str = ""
    hash: str = ""


@dataclass(frozen=True, slots=True)
class PartRecord:
    """A finished part: the descriptor of its manifest and those of its images, as the index will list them."""

    part: Descriptor
    images: tuple[Descriptor, ...] = ()

    @property
    def descriptors(self) -> tuple[Descriptor, ...]:
        """All of them, the part's own first."""
        return (self.part, *self.images)


def inputs_digest(part: PartSpec) -> str:
    """The digest of everything in the project that decides what this part becomes."""
    digest = hashlib.sha256(_FORMAT.encode())
    for path in sorted(path for path in part.folder.rglob("*") if path.is_file()):
        digest.update(f"\n{path.relative_to(part.folder).as_posix()} {digest_of(path)}".encode())
    return f"sha256:{digest.hexdigest()}"


def pack(
    blobs: BlobStore,
    part: PartSpec,
    *,
    source: str,
    outputs: Mapping[str, Path],
    images: Sequence[Descriptor] = (),
    base: Descriptor | None = None,
    components: Sequence[SbomComponent] = (),
    licences: Sequence[Entry] = (),
) -> PartRecord:
    """Store a part's pieces and the manifest listing them. ``outputs`` are what it built, by name."""
    layers = [] if base is None else [base]
    for binary in part.binaries:
        blob = blobs.add_file(outputs[binary.name], BINARY)
        layers.append(blob.annotated({TITLE: binary.path}))
    if licences:
        layers.append(add_layer(blobs, licences, LICENCES))
    if components:
        layers.append(blobs.add(canonical([asdict(component) for component in components]), COMPONENTS))
    about = {
        PART_NAME: part.name,
        VERSION: part.version,
        LICENCE: part.licence,
        SOURCE: source,
        INPUTS: inputs_digest(part),
    }
    manifest = Manifest(blobs.add(b"{}", EMPTY), tuple(layers), PART, tuple(sorted(about.items())))
    stored = blobs.add_json(manifest.to_json(), MANIFEST)
    own = Descriptor(MANIFEST, stored.digest, stored.size, artifact_type=PART).annotated(about)
    return PartRecord(own, tuple(image.annotated(about) for image in images))


def base_layer(blobs: BlobStore, record: PartRecord) -> Descriptor:
    """The layer of a base part."""
    manifest = Manifest.parse(blobs.read(record.part))
    return next(layer for layer in manifest.layers if layer.media_type == LAYER)


class Records:
    """Finished parts by key, so that a build goes on where it stopped."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def get(self, part: PartSpec, key: str, blobs: BlobStore) -> PartRecord | None:
        """The part built from the same inputs before, if every blob of it is still there in full length."""
        path = self._path(part, key)
        if not path.is_file():
            return None
        raw: list[Any] = parse_json(path.read_bytes())["descriptors"]
        own, *images = (Descriptor.from_json(one) for one in raw)
        record = PartRecord(own, tuple(images))
        return record if complete(blobs, record) else None

    def put(self, part: PartSpec, key: str, record: PartRecord) -> None:
        """Remember a finished part."""
        plain = {"descriptors": [descriptor.to_json() for descriptor in record.descriptors]}
        write_atomically(self._path(part, key), canonical(plain))

    def _path(self, part: PartSpec, key: str) -> Path:
        return self._folder / f"{part.name}-{part.version}-{sha256(key.encode())[7:23]}.json"


def complete(blobs: BlobStore, record: PartRecord) -> bool:
    """Whether every blob of a part is there in full length."""
    for descriptor in record.descriptors:
        if not blobs.has(descriptor):
            return False
        manifest = Manifest.parse(blobs.read(descriptor))
        if not all(blobs.has(blob) for blob in (manifest.config, *manifest.layers)):
            return False
    return True
