"""A bundle as one tar: the way into an air-gapped place.

The tar is an OCI image layout as it is (``skopeo`` and ``ctr images import`` read it too). What comes in is
not trusted: only plain files with a layout's names are taken, and each blob only under its own digest.
"""

from __future__ import annotations

import re
import tarfile
from io import BytesIO
from pathlib import Path
from typing import Final

from groundplane.bundle.bundle import FORMAT, Bundle, records_of
from groundplane.bundle.cache import publish_index
from groundplane.bundle.lock import locked
from groundplane.bundle.media import PART_NAME
from groundplane.bundle.record import PartRecord, complete
from groundplane.bundle.versions import PartSpec
from groundplane.errors import BundleError
from groundplane.events import Emit, Progress, reported, silent
from groundplane.oci.files import CHUNK, atomic_file, sha256
from groundplane.oci.layer import EPOCH
from groundplane.oci.layout import VERSION, BlobStore, Descriptor, parse_json
from groundplane.software import known_versions

_INDEX_LIMIT: Final = 16 << 20  # bytes an index.json may have
_BLOB_LIMIT: Final = 8 << 30  # bytes one blob may have
_MEMBER_LIMIT: Final = 10_000
_BLOB: Final = re.compile(r"blobs/sha256/([0-9a-f]{64})")
_EXPORTED: Final = "take the file that `groundplane bundle export` wrote, or write it again"
_FOLDERS: Final = frozenset({".", "blobs", "blobs/sha256"})


def export_bundle(bundle: Bundle, path: Path) -> None:
    """Write ``bundle`` as one tar, whole or not at all; raises BundleError when a blob is missing."""
    digests = sorted({blob.digest: blob for blob, _ in bundle.contents()}.items())
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_file(path.parent) as pending:
        with tarfile.open(fileobj=pending.file, mode="w", format=tarfile.PAX_FORMAT) as tar:
            for name, content in (
                ("oci-layout", FORMAT),
                ("index.json", (bundle.path / "index.json").read_bytes()),
            ):
                tar.addfile(_member(name, len(content)), BytesIO(content))
            for digest, blob in digests:
                if not bundle.blobs.has(blob):
                    raise BundleError(f"blob {digest} is missing or short", where=str(bundle.path))
                with bundle.blobs.path(digest).open("rb") as file:
                    tar.addfile(_member(f"blobs/{digest.replace(':', '/')}", blob.size), file)
        pending.target = path


def import_bundle(tar: Path, cache: Path, emit: Emit = silent) -> Bundle:
    """Take an exported bundle into the cache as it is; raises BundleError for anything wrong with it."""
    with locked(cache, emit):
        contents = Contents(tar, BlobStore(cache), emit)
        return publish_index(contents.index, contents.descriptors, contents.version, cache)


class Contents:
    """What an exported tar holds. Making one copies its blobs, each checked, into ``blobs``."""

    def __init__(self, tar: Path, blobs: BlobStore, emit: Emit) -> None:
        with reported(emit, "bundle", "import"):
            self.index = _take(tar, blobs, emit)
        raw = parse_json(self.index)
        self.descriptors = tuple(Descriptor.from_json(one) for one in raw.get("manifests", ()))
        self.version = str((raw.get("annotations") or {}).get(VERSION, ""))
        if self.version not in known_versions():
            raise BundleError(
                f"it holds Kubernetes {self.version or '?'}, which isn't known",
                where=str(tar),
                hint="`groundplane explain versions` lists those that are; export one with this version of groundplane",
            )
        self.records = {record.part.annotation(PART_NAME): record for record in records_of(self.descriptors)}
        loose = [PartRecord(one) for one in self.descriptors]
        if not all(complete(blobs, record) for record in loose):
            raise BundleError("the bundle file is incomplete", where=str(tar), hint="copy it again")


class FileSource:
    """The ``file`` source: parts out of an exported bundle."""

    name: Final = "file"

    def __init__(self, tar: Path, blobs: BlobStore, emit: Emit) -> None:
        self._contents = Contents(tar, blobs, emit)
        self._digest = sha256(self._contents.index)

    @property
    def version(self) -> str:
        """The Kubernetes version the file was exported for."""
        return self._contents.version

    def offers(self, part: PartSpec) -> bool:
        """Whether the file has the part in that very version."""
        record = self._contents.records.get(part.name)
        return record is not None and record.part.annotation(VERSION) == part.version

    def base_for(self, part: PartSpec) -> str:
        """The base comes along, if the file has it, so that the bundle is the same as the one exported."""
        return part.base if part.base in self._contents.records else ""

    def key(self, part: PartSpec, base: PartRecord | None) -> str:
        """The file's content."""
        return f"file {self._digest} {part.name}"

    def prepare(self, part: PartSpec) -> None:
        """Everything is here already."""

    def provide(self, part: PartSpec, base: PartRecord | None) -> PartRecord:
        """The part as the file lists it."""
        return self._contents.records[part.name]


def _take(tar: Path, blobs: BlobStore, emit: Emit) -> bytes:
    """Store a tar's blobs and return its index. Only an uncompressed tar is read: it can't outgrow its file."""
    index = b""
    try:
        with tarfile.open(tar, mode="r:") as archive:
            for count, member in enumerate(archive):
                _check(tar, member, count)
                file = archive.extractfile(member)
                name = member.name.removeprefix("./")
                if file is None:
                    continue
                if name == "index.json":
                    index = file.read(_INDEX_LIMIT + 1)
                elif match := _BLOB.fullmatch(name):
                    emit(
                        Progress(
                            "bundle",
                            "import",
                            note=match[1][:12],
                            done=member.offset,
                            total=tar.stat().st_size,
                        )
                    )
                    blob = Descriptor("", f"sha256:{match[1]}", member.size)
                    with blobs.writer(expected=blob.digest) as writer:
                        while chunk := file.read(CHUNK):
                            writer.write(chunk)
    except (OSError, tarfile.TarError) as error:
        raise BundleError("the bundle file can't be read", where=str(tar), hint=_EXPORTED, detail=str(error)) from error
    if not 0 < len(index) <= _INDEX_LIMIT:
        raise BundleError("not a bundle file: it has no index.json", where=str(tar), hint=_EXPORTED)
    return index


def _check(tar: Path, member: tarfile.TarInfo, count: int) -> None:
    """Refuse what an export never writes: links, devices, sparse files, other names, absurd sizes."""
    name = member.name.removeprefix("./")
    plain = member.isreg() and not member.issparse() and 0 <= member.size <= _BLOB_LIMIT
    expected = name in {"index.json", "oci-layout"} or _BLOB.fullmatch(name) is not None
    folder = member.isdir() and name in _FOLDERS
    if count >= _MEMBER_LIMIT or not (folder or (plain and expected)):
        raise BundleError(f"not a bundle file: it holds {member.name!r}", where=str(tar), hint=_EXPORTED)


def _member(name: str, size: int) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.size, info.mtime, info.mode = size, EPOCH, 0o644
    return info
