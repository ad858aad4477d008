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
from groundplane.bundle.images import conflicts
from groundplane.bundle.lock import locked
from groundplane.errors import BundleError
from groundplane.events import silent
from groundplane.oci.files import is_copy, link_or_copy, sha256
from groundplane.oci.layout import REFERENCE, BlobStore, Descriptor
from groundplane.oci.storage import is_served, serve


def software_tree(bundle: Bundle, dest: Path | None = None, *, cancel: Event | None = None) -> Path:
    """The host programs as a root tree, each at its path, mode 0755, ready to be an overlay's lower layer; where it is.

    Without ``dest`` it's kept in the cache, one per bundle digest. Files are hard links to blobs
    where the file system allows: treat the tree as read-only.
    """
    place = dest or _tree(bundle, "software")
    if all(is_copy(place / binary.path.lstrip("/"), bundle.blobs.path(binary.digest)) for binary in bundle.binaries):
        return place
    with locked(bundle.path.parent, silent, cancel), _whole(place) as tree:
        for binary in bundle.binaries:
            path = tree / binary.path.lstrip("/")
            link_or_copy(bundle.blobs.path(binary.digest), path)
            path.chmod(0o755)
    return place


def registry_tree(
    bundle: Bundle, dest: Path | None = None, own: Sequence[Descriptor] = (), *, cancel: Event | None = None
) -> Path:
    """Every image as a *distribution* registry's storage, ready to be served read-only; see ``software_tree``.

    ``own`` are images of the user's, as ``images_of`` tells them, whose blobs are in the cache. None of these may take
    the place of one of the bundle's. Another set of images is another tree: one that a gateway may have mounted never
    changes.
    """
    shipped = [image for record in bundle.records for image in record.images]
    if taken := sorted(conflicts(own, shipped)):
        raise BundleError(
            f"the platform has another {', '.join(taken)} of its own", hint="leave it out of your own images"
        )
    place = dest or _tree(bundle, _registry_name(own))
    cache = BlobStore(bundle.path.parent)
    images = [*((bundle.blobs, image) for image in shipped), *((cache, image) for image in own)]
    if all(is_served(blobs, place, image) for blobs, image in images):
        return place
    with locked(bundle.path.parent, silent, cancel), _whole(place) as tree:
        for blobs, image in images:
            serve(blobs, tree, image)
    return place


def _registry_name(own: Sequence[Descriptor]) -> str:
    marks = sha256("\n".join(f"{image.annotation(REFERENCE)} {image.digest}" for image in own).encode())
    return f"registry-{marks.removeprefix('sha256:')[:16]}" if own else "registry"


def _tree(bundle: Bundle, kind: str) -> Path:
    return bundle.path.parent / "trees" / bundle.digest.removeprefix("sha256:")[:16] / kind


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
