"""A finished bundle: one OCI image layout, readable by any OCI tool, that knows all about itself."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

from groundplane.bundle.media import BINARY, LICENCES, PART, PART_NAME, SBOM, SOURCE
from groundplane.bundle.names import checked_program, checked_reference
from groundplane.bundle.record import PartRecord
from groundplane.errors import BundleError
from groundplane.events import Emit, Progress, reported, silent
from groundplane.oci.files import digest_of, sha256
from groundplane.oci.layout import LICENCE, REFERENCE, TITLE, VERSION, BlobStore, Descriptor, Manifest, parse_json

FORMAT: Final = b'{"imageLayoutVersion":"1.0.0"}'


@dataclass(frozen=True, slots=True)
class BundledImage:
    """A container image in the bundle. ``size`` is what a machine holds of it, in bytes."""

    reference: str
    digest: str
    size: int
    licence: str
    part: str


@dataclass(frozen=True, slots=True)
class Binary:
    """A program for the machines: the blob ``digest`` belongs at ``path``."""

    name: str
    path: str
    digest: str
    size: int
    version: str
    licence: str
    part: str


@dataclass(frozen=True, slots=True)
class ListedPart:
    """A line of the bundle's listing. ``source`` says where it came from, ``size`` counts each blob once."""

    name: str
    version: str
    licence: str
    digest: str
    size: int
    source: str


@dataclass(frozen=True, slots=True)
class Damage:
    """A blob that isn't what it should be, and the parts that need it."""

    digest: str
    kind: Literal["missing", "truncated", "corrupt"]
    parts: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Bundle:
    """An OCI layout at ``path`` for Kubernetes ``version``; ``digest`` is its index's."""

    path: Path
    version: str
    digest: str
    images: tuple[BundledImage, ...]
    binaries: tuple[Binary, ...]
    parts: tuple[ListedPart, ...]
    records: tuple[PartRecord, ...]
    bill: Descriptor

    def image(self, reference: str) -> BundledImage:
        """The image of that full reference; raises BundleError when the bundle hasn't got it."""
        for image in self.images:
            if image.reference == reference:
                return image
        raise BundleError(f"the bundle has no image {reference}", where=str(self.path))

    def sbom(self) -> bytes:
        """The bill of materials, CycloneDX JSON."""
        manifest = Manifest.parse(self.blobs.read(self.bill))
        return self.blobs.read(manifest.layers[0])

    def licences(self, part: str) -> Path | None:
        """The tar of a part's licence texts, None for parts that came without."""
        record = next((record for record in self.records if record.part.annotation(PART_NAME) == part), None)
        if record is None:
            raise BundleError(f"the bundle has no part {part}", where=str(self.path))
        for layer in Manifest.parse(self.blobs.read(record.part)).layers:
            if layer.media_type == LICENCES:
                return self.blobs.path(layer.digest)
        return None

    @property
    def blobs(self) -> BlobStore:
        """The blobs of this layout."""
        return BlobStore(self.path)

    @property
    def size(self) -> int:
        """Bytes of all blobs."""
        return sum({blob.digest: blob.size for blob, _ in self.contents()}.values())

    def contents(self) -> Iterator[tuple[Descriptor, str]]:
        """Every blob with the part it belongs to, manifests first; a shared blob comes once per part.

        Blobs below an unreadable manifest can't be known and are left out.
        """
        for record in self.records:
            name = record.part.annotation(PART_NAME)
            for descriptor in record.descriptors:
                yield from ((blob, name) for blob in _below(self.blobs, descriptor))
        yield from ((blob, "sbom") for blob in _below(self.blobs, self.bill))

    def verify(self, emit: Emit = silent) -> tuple[Damage, ...]:
        """Hash every blob; names each one that's missing, truncated or corrupt."""
        owners: dict[str, list[str]] = {}
        blobs: dict[str, Descriptor] = {}
        for blob, part in self.contents():
            blobs[blob.digest] = blob
            if part not in owners.setdefault(blob.digest, []):
                owners[blob.digest].append(part)
        total, done, damages = sum(blob.size for blob in blobs.values()), 0, list[Damage]()
        with reported(emit, "bundle", "verify") as outcome:
            for digest, blob in blobs.items():
                emit(Progress("bundle", "verify", note=", ".join(owners[digest]), done=done, total=total))
                kind = _damage(self.blobs.path(digest), blob)
                if kind is not None:
                    damages.append(Damage(digest, kind, tuple(owners[digest])))
                done += blob.size
            outcome.changed, outcome.note = False, f"{len(blobs)} blobs, {len(damages)} damaged"
        return tuple(damages)

    def discard(self, damages: tuple[Damage, ...]) -> None:
        """Remove damaged blobs, here and in the cache they are shared with, so that ``obtain`` makes them anew."""
        for damage in damages:
            for store in (self.blobs, BlobStore(self.path.parent)):
                store.path(damage.digest).unlink(missing_ok=True)


def open_bundle(path: Path) -> Bundle:
    """Read a layout; raises BundleError when it isn't a complete groundplane bundle."""
    try:
        index = (path / "index.json").read_bytes()
    except OSError as error:
        raise BundleError("no bundle here", where=str(path)) from error
    raw = parse_json(index)
    descriptors = tuple(Descriptor.from_json(one) for one in raw.get("manifests", ()))
    records = records_of(descriptors)
    bill = next((one for one in descriptors if one.artifact_type == SBOM), None)
    if bill is None or not records:
        raise BundleError("an OCI layout, but not a groundplane bundle", where=str(path))
    blobs = BlobStore(path)
    return Bundle(
        path=path,
        version=str((raw.get("annotations") or {}).get(VERSION, "")),
        digest=sha256(index),
        images=tuple(_image(blobs, image) for record in records for image in record.images),
        binaries=tuple(binary for record in records for binary in _binaries(blobs, record)),
        parts=tuple(_part(blobs, record) for record in records),
        records=records,
        bill=bill,
    )


def records_of(descriptors: Sequence[Descriptor]) -> tuple[PartRecord, ...]:
    """An index's entries put together by part, in the index's order."""
    images: dict[str, list[Descriptor]] = {}
    for one in descriptors:
        if one.annotation(REFERENCE):
            images.setdefault(one.annotation(PART_NAME), []).append(one)
    parts = (one for one in descriptors if one.artifact_type == PART)
    return tuple(PartRecord(one, tuple(images.get(one.annotation(PART_NAME), ()))) for one in parts)


def _below(blobs: BlobStore, descriptor: Descriptor) -> Iterator[Descriptor]:
    yield descriptor
    try:
        manifest = Manifest.parse(blobs.read(descriptor))
    except BundleError:
        return
    yield from (manifest.config, *manifest.layers)


def _damage(path: Path, blob: Descriptor) -> Literal["missing", "truncated", "corrupt"] | None:
    try:
        size = path.stat().st_size
        if size < blob.size:
            return "truncated"
        return None if size == blob.size and digest_of(path) == blob.digest else "corrupt"
    except OSError:
        return "missing"


def _image(blobs: BlobStore, image: Descriptor) -> BundledImage:
    return BundledImage(
        reference=checked_reference(image.annotation(REFERENCE), str(blobs.root)),
        digest=image.digest,
        size=sum(blob.size for blob in _below(blobs, image)),
        licence=image.annotation(LICENCE),
        part=image.annotation(PART_NAME),
    )


def _binaries(blobs: BlobStore, record: PartRecord) -> Iterator[Binary]:
    for blob in _below(blobs, record.part):
        if blob.media_type == BINARY:
            path = checked_program(blob.annotation(TITLE), str(blobs.root))
            yield Binary(
                name=Path(path).name,
                path=path,
                digest=blob.digest,
                size=blob.size,
                version=record.part.annotation(VERSION),
                licence=record.part.annotation(LICENCE),
                part=record.part.annotation(PART_NAME),
            )


def _part(blobs: BlobStore, record: PartRecord) -> ListedPart:
    sizes = {blob.digest: blob.size for one in record.descriptors for blob in _below(blobs, one)}
    return ListedPart(
        name=record.part.annotation(PART_NAME),
        version=record.part.annotation(VERSION),
        licence=record.part.annotation(LICENCE),
        digest=record.part.digest,
        size=sum(sizes.values()),
        source=record.part.annotation(SOURCE),
    )
