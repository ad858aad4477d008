"""Layers and image manifests that come out the same, byte for byte, from the same files.

Layers are plain tars: nothing here crosses a slow link, and uncompressed they need neither time nor a
particular compressor version to be reproduced.
"""

from __future__ import annotations

import tarfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path, PurePosixPath
from typing import IO, Final, cast

from groundplane.oci.layout import CONFIG, CONTAINERD_NAME, LAYER, MANIFEST, REFERENCE, BlobStore, Descriptor, Manifest

EPOCH: Final = 1_767_225_600  # every file in a layer is as old as 2026: a build's own date would be noise
CREATED: Final = "2026-01-01T00:00:00Z"
SEARCH_PATH: Final = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

_PASSWD: Final = b"root:x:0:0:root:/root:/sbin/nologin\nnobody:x:65534:65534:nobody:/nonexistent:/sbin/nologin\n"
_GROUP: Final = b"root:x:0:\nnobody:x:65534:\n"


@dataclass(frozen=True, slots=True)
class Entry:
    """One file of a layer: ``content`` in memory or a file on disk, or a folder when it's None.

    With ``link`` it's a symbolic link to that, and has neither content nor mode.
    """

    path: str
    content: bytes | Path | None
    mode: int = 0o644
    link: str = ""


SCRATCH: Final = (
    Entry("/etc/group", _GROUP),
    Entry("/etc/passwd", _PASSWD),
    Entry("/tmp", None, 0o1777),
)
"""What a program without a distribution below it still expects to find."""


def add_layer(blobs: BlobStore, entries: Iterable[Entry], media_type: str = LAYER) -> Descriptor:
    """Store a tar of the entries and the folders above them, in path order, owned by root."""
    complete = {entry.path: entry for entry in entries}
    for path in list(complete):
        for parent in PurePosixPath(path).parents:
            if str(parent) != "/":
                complete.setdefault(str(parent), Entry(str(parent), None, 0o755))
    with (
        blobs.writer() as writer,
        tarfile.open(fileobj=cast(IO[bytes], writer), mode="w|", format=tarfile.PAX_FORMAT) as tar,
    ):
        for _, entry in sorted(complete.items()):
            _add(tar, entry)
    return writer.describe(media_type)


def add_image(
    blobs: BlobStore,
    reference: str,
    layers: Sequence[Descriptor],
    *,
    architecture: str,
    entrypoint: Sequence[str] = (),
    command: Sequence[str] = (),
    user: str = "",
) -> Descriptor:
    """Store config and manifest of an image made of uncompressed layers; the result belongs into an index."""
    run: dict[str, object] = {"Env": [SEARCH_PATH]}
    if entrypoint:
        run["Entrypoint"] = list(entrypoint)
    if command:
        run["Cmd"] = list(command)
    if user:
        run["User"] = user
    config = blobs.add_json(
        {
            "architecture": architecture,
            "os": "linux",
            "created": CREATED,
            "config": run,
            "rootfs": {"type": "layers", "diff_ids": [layer.digest for layer in layers]},
        },
        CONFIG,
    )
    manifest = blobs.add_json(Manifest(config, tuple(layers)).to_json(), MANIFEST)
    return image_descriptor(manifest, reference, architecture)


def image_descriptor(manifest: Descriptor, reference: str, architecture: str) -> Descriptor:
    """An index entry that both OCI tools and ``ctr images import`` find by its full reference."""
    return Descriptor(
        MANIFEST,
        manifest.digest,
        manifest.size,
        annotations=((CONTAINERD_NAME, reference), (REFERENCE, reference)),
        architecture=architecture,
    )


def _add(tar: tarfile.TarFile, entry: Entry) -> None:
    info = tarfile.TarInfo(entry.path.lstrip("/"))
    info.mode, info.mtime = entry.mode, EPOCH
    if entry.link:
        info.type, info.linkname, info.mode = tarfile.SYMTYPE, entry.link, 0o777
        tar.addfile(info)
    elif entry.content is None:
        info.type = tarfile.DIRTYPE
        tar.addfile(info)
    elif isinstance(entry.content, bytes):
        info.size = len(entry.content)
        tar.addfile(info, BytesIO(entry.content))
    else:
        info.size = entry.content.stat().st_size
        with entry.content.open("rb") as file:
            tar.addfile(info, file)
