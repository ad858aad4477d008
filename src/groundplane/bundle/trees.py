"""The bundle's content in the two shapes machines use: a root tree of programs, and a registry's storage.

Both are made of hard links to the bundle's blobs, appear in one rename, and are kept: what's there already
and whole isn't made again. One that isn't whole is mended file by file where it is, since a running machine may
stand on it.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from threading import Event

from groundplane.bundle.bundle import Bundle
from groundplane.bundle.cache import locked
from groundplane.bundle.images import conflicts, manifests_below
from groundplane.bundle.layout import REFERENCE, BlobStore, Descriptor, Manifest, link_or_copy
from groundplane.errors import BundleError
from groundplane.events import silent


def software_tree(bundle: Bundle, dest: Path, cancel: Event | None = None) -> Path:
    """Every host program at its path below ``dest``, mode 0755."""
    if all(_is(dest / binary.path.lstrip("/"), bundle.blobs.path(binary.digest)) for binary in bundle.binaries):
        return dest
    with locked(bundle.path.parent, silent, cancel), _whole(dest) as tree:
        for binary in bundle.binaries:
            path = tree / binary.path.lstrip("/")
            _put(bundle.blobs.path(binary.digest), path)
            path.chmod(0o755)
    return dest


def registry_tree(bundle: Bundle, dest: Path, own: Sequence[Descriptor] = (), cancel: Event | None = None) -> Path:
    """The storage of a CNCF distribution registry (its file system driver's paths) that has every image, and the
    user's ``own``, whose blobs are in the cache. None of these may take the place of one of the bundle's.

    ``registry.k8s.io/pause:3.10.2`` is served as repository ``registry.k8s.io/pause``, tag ``3.10.2``: a
    mirror of several registries keeps their names apart that way.
    """
    shipped = [image for record in bundle.records for image in record.images]
    if taken := sorted(conflicts(own, shipped)):
        raise BundleError(
            f"the platform has another {', '.join(taken)} of its own", hint="leave it out of your own images"
        )
    cache = BlobStore(bundle.path.parent)
    images = [*((bundle.blobs, image) for image in shipped), *((cache, image) for image in own)]
    if all(_is_served(blobs, dest, image) for blobs, image in images):
        return dest
    with locked(bundle.path.parent, silent, cancel), _whole(dest) as tree:
        for blobs, image in images:
            _serve(blobs, tree, image)
    return dest


def split_reference(reference: str) -> tuple[str, str]:
    """``host/name:tag`` as (``host/name``, ``tag``)."""
    repository, _, tag = reference.rpartition(":")
    return repository, tag


def _serve(blobs: BlobStore, tree: Path, image: Descriptor) -> None:
    repository = _repository(tree, image)
    manifests = {one.digest for one in (image, *manifests_below(blobs, image))}
    for blob in _blobs(blobs, image):
        _put(blobs.path(blob.digest), _data(tree, blob))
        kind = "_manifests/revisions" if blob.digest in manifests else "_layers"
        _link(repository / kind / "sha256" / _hex(blob), blob)
    _link(_tag(tree, image) / "current", image)
    _link(_tag(tree, image) / "index" / "sha256" / _hex(image), image)


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


def _put(blob: Path, path: Path) -> None:
    if not _is(path, blob):
        link_or_copy(blob, path)


def _hex(blob: Descriptor) -> str:
    return blob.digest.removeprefix("sha256:")


def _is_served(blobs: BlobStore, tree: Path, image: Descriptor) -> bool:
    tagged = _text(_tag(tree, image) / "current" / "link") == image.digest
    return tagged and all(_is(_data(tree, blob), blobs.path(blob.digest)) for blob in _blobs(blobs, image))


def _is(path: Path, blob: Path) -> bool:
    """Whether ``path`` is that blob: the same file, or where links don't reach, one of the same size."""
    try:
        have, want = path.stat(), blob.stat()
    except OSError:
        return False
    return have.st_size == want.st_size and (have.st_dev != want.st_dev or have.st_ino == want.st_ino)


@contextmanager
def _whole(dest: Path) -> Iterator[Path]:
    """Where to put a tree's files: ``dest`` itself where it is, else a fresh folder that becomes it at the end."""
    if dest.is_dir():
        yield dest
        return
    dest.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=dest.parent, prefix=".pending-") as name:
        tree = Path(name) / "tree"
        tree.mkdir(mode=0o755)
        yield tree
        tree.rename(dest)
