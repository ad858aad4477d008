"""Images as the storage of a CNCF *distribution* registry, in its file system driver's paths.

``registry.k8s.io/pause:3.10.2`` is served as repository ``registry.k8s.io/pause``, tag ``3.10.2``: a mirror of several
registries keeps their names apart that way. Files are hard links to the blobs where the file system allows.
"""

from __future__ import annotations

from pathlib import Path

from groundplane.oci.files import is_copy, link_or_copy
from groundplane.oci.layout import REFERENCE, BlobStore, Descriptor, Manifest, manifests_below


def split_reference(reference: str) -> tuple[str, str]:
    """``host/name:tag`` as (``host/name``, ``tag``)."""
    repository, _, tag = reference.rpartition(":")
    return repository, tag


def serve(blobs: BlobStore, tree: Path, image: Descriptor) -> None:
    """Add ``image``, whose blobs are all in ``blobs``, to the storage at ``tree``."""
    repository = _repository(tree, image)
    manifests = {one.digest for one in (image, *manifests_below(blobs, image))}
    for blob in _blobs(blobs, image):
        link_or_copy(blobs.path(blob.digest), _data(tree, blob))
        kind = "_manifests/revisions" if blob.digest in manifests else "_layers"
        _link(repository / kind / "sha256" / _hex(blob), blob)
    _link(_tag(tree, image) / "current", image)
    _link(_tag(tree, image) / "index" / "sha256" / _hex(image), image)


def is_served(blobs: BlobStore, tree: Path, image: Descriptor) -> bool:
    """Whether all of ``image`` is in the storage at ``tree``, under its tag."""
    tagged = _text(_tag(tree, image) / "current" / "link") == image.digest
    return tagged and all(is_copy(_data(tree, blob), blobs.path(blob.digest)) for blob in _blobs(blobs, image))


def _blobs(blobs: BlobStore, image: Descriptor) -> tuple[Descriptor, ...]:
    """All an image is made of, each blob once."""
    found = {image.digest: image}
    for one in manifests_below(blobs, image):
        manifest = Manifest.parse(blobs.read(one))
        found |= {blob.digest: blob for blob in (one, manifest.config, *manifest.layers)}
    return tuple(found.values())


def _repository(tree: Path, image: Descriptor) -> Path:
    name, _ = split_reference(image.annotation(REFERENCE))
    return tree / "docker" / "registry" / "v2" / "repositories" / name


def _tag(tree: Path, image: Descriptor) -> Path:
    _, tag = split_reference(image.annotation(REFERENCE))
    return _repository(tree, image) / "_manifests" / "tags" / tag


def _data(tree: Path, blob: Descriptor) -> Path:
    name = _hex(blob)
    return tree / "docker" / "registry" / "v2" / "blobs" / "sha256" / name[:2] / name / "data"


def _link(folder: Path, blob: Descriptor) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    if _text(folder / "link") != blob.digest:
        (folder / ".link").write_text(blob.digest)
        (folder / ".link").replace(folder / "link")


def _text(path: Path) -> str:
    """A small file's text; empty where there is none."""
    return path.read_text(errors="replace") if path.is_file() else ""


def _hex(blob: Descriptor) -> str:
    return blob.digest.removeprefix("sha256:")
