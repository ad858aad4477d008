"""Images of the user's own: taken out of OCI layouts, kept in the cache, served beside the bundle's.

A layout is what ``skopeo copy … oci:FOLDER:REFERENCE``, ``docker buildx build --output type=oci,tar=false`` and others
write (OCI image-spec, image-layout.md). What was taken is remembered as an OCI index: the images with their full
references, whose blobs are in the cache. What comes in is not trusted: each blob is kept under its own digest only,
and a reference becomes a folder's name, so only well-formed ones are taken.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from threading import Event

from groundplane.bundle.lock import locked
from groundplane.bundle.names import FULL_REFERENCE
from groundplane.errors import BundleError
from groundplane.events import Emit, Progress, reported, silent
from groundplane.oci.files import CHUNK
from groundplane.oci.layout import (
    CONTAINERD_NAME,
    INDEX,
    INDEXES,
    MANIFESTS,
    REFERENCE,
    BlobStore,
    Descriptor,
    Manifest,
    canonical,
    manifests_below,
    parse_json,
)


def take_images(
    folders: Iterable[Path],
    cache: Path,
    emit: Emit = silent,
    *,
    known: bytes = b"",
    cancel: Event | None = None,
) -> bytes:
    """Copy every image of the layouts into the cache; the index of these and of those in the index ``known``.

    The same reference again replaces what was known under it. Nothing is left half taken: a blob is copied whole and
    checked, and the index is what counts. Raises BundleError for anything wrong with a layout.
    """
    found = {image.annotation(REFERENCE): image for image in images_of(known)}
    blobs = BlobStore(cache)
    with locked(cache, emit, cancel), reported(emit, "images", "take") as outcome:
        for folder in folders:
            layout = BlobStore(folder)
            for image in _listed(folder):
                emit(Progress("images", "take", note=image.annotation(REFERENCE)))
                _copy(layout, blobs, image)
                found[image.annotation(REFERENCE)] = image
        index = canonical(
            {"schemaVersion": 2, "mediaType": INDEX, "manifests": [one.to_json() for _, one in sorted(found.items())]}
        )
        outcome.changed, outcome.note = index != known, f"{len(found)} images of your own"
    return index


def images_of(index: bytes) -> tuple[Descriptor, ...]:
    """The images in an index that ``take_images`` made, by reference; none in an empty one."""
    return tuple(Descriptor.from_json(one) for one in parse_json(index)["manifests"]) if index else ()


def conflicts(own: Sequence[Descriptor], others: Iterable[Descriptor]) -> Iterator[str]:
    """References that both have, for different content."""
    digests = {image.annotation(REFERENCE): image.digest for image in others}
    for image in own:
        reference = image.annotation(REFERENCE)
        if digests.get(reference, image.digest) != image.digest:
            yield reference


def _listed(folder: Path) -> tuple[Descriptor, ...]:
    """What a layout's index.json names, each reduced to what matters: kind, digest, size and full reference."""
    try:
        raw = parse_json((folder / "index.json").read_bytes())
    except OSError as error:
        raise BundleError(
            "no OCI image layout here", where=str(folder), hint="give the folder that holds oci-layout and index.json"
        ) from error
    named = [
        one
        for one in (Descriptor.from_json(plain) for plain in raw.get("manifests", ()))
        if one.media_type in INDEXES | MANIFESTS and _reference(one)
    ]
    for image in named:
        if not FULL_REFERENCE.fullmatch(_reference(image)):
            raise BundleError(
                f"{_reference(image)!r} is not a full image name",
                where=str(folder),
                hint="name it like registry.example.org/team/program:1.0 when copying it into the layout",
            )
    if not named:
        raise BundleError("the layout names no image", where=str(folder))
    return tuple(
        Descriptor(one.media_type, one.digest, one.size, annotations=((REFERENCE, _reference(one)),)) for one in named
    )


def _reference(image: Descriptor) -> str:
    # containerd's and Docker's exports put only the tag where the specification has the name.
    return image.annotation(CONTAINERD_NAME) or image.annotation(REFERENCE)


def _copy(layout: BlobStore, blobs: BlobStore, image: Descriptor) -> None:
    """An image's blobs, what it is made of first, so that a manifest is only there with all it lists."""
    manifests = manifests_below(layout, image)
    if not manifests:
        raise BundleError(
            f"the layout holds {image.annotation(REFERENCE)} for no architecture at all", where=str(layout.root)
        )
    for one in manifests:
        manifest = Manifest.parse(layout.read(one))
        for blob in (*manifest.layers, manifest.config, one):
            _copy_blob(layout, blobs, blob)
    _copy_blob(layout, blobs, image)


def _copy_blob(layout: BlobStore, blobs: BlobStore, blob: Descriptor) -> None:
    if blobs.has(blob):
        return
    try:
        with layout.path(blob.digest).open("rb") as file, blobs.writer(expected=blob.digest) as writer:
            while chunk := file.read(CHUNK):
                writer.write(chunk)
    except OSError as error:
        raise BundleError(f"blob {blob.digest} can't be read", where=str(layout.root), detail=str(error)) from error
