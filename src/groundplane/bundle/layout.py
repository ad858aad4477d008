"""Content-addressed storage in OCI's terms: descriptors, a blob store, and the JSON that names them.

See the OCI image-spec: descriptor.md, image-layout.md, manifest.md. Everything written here is on disk
completely or not at all (temporary file, fsync, rename), and the same input always gives the same bytes.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, BinaryIO, Final, cast

from groundplane.errors import BundleError

INDEX: Final = "application/vnd.oci.image.index.v1+json"
MANIFEST: Final = "application/vnd.oci.image.manifest.v1+json"
CONFIG: Final = "application/vnd.oci.image.config.v1+json"
EMPTY: Final = "application/vnd.oci.empty.v1+json"
LAYER: Final = "application/vnd.oci.image.layer.v1.tar"
PART: Final = "application/vnd.groundplane.part.v1+json"
BINARY: Final = "application/vnd.groundplane.binary.v1"
COMPONENTS: Final = "application/vnd.groundplane.components.v1+json"
LICENCES: Final = "application/vnd.groundplane.licences.v1.tar"
SBOM: Final = "application/vnd.cyclonedx+json"

TITLE: Final = "org.opencontainers.image.title"
VERSION: Final = "org.opencontainers.image.version"
LICENCE: Final = "org.opencontainers.image.licenses"
REFERENCE: Final = "org.opencontainers.image.ref.name"
CONTAINERD_NAME: Final = "io.containerd.image.name"
PART_NAME: Final = "dev.groundplane.part"
SOURCE: Final = "dev.groundplane.source"

CHUNK: Final = 1 << 20

_DIGEST: Final = re.compile(r"sha256:[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class Descriptor:
    """What OCI calls a descriptor: the name (by digest) and size in bytes of a blob, and what it is."""

    media_type: str
    digest: str
    size: int
    annotations: tuple[tuple[str, str], ...] = ()
    artifact_type: str = ""
    architecture: str = ""

    def annotation(self, name: str) -> str:
        """One annotation, "" where there's none."""
        return dict(self.annotations).get(name, "")

    def annotated(self, more: Mapping[str, str]) -> Descriptor:
        """The same blob with annotations added."""
        return replace(self, annotations=tuple(sorted({**dict(self.annotations), **more}.items())))

    def to_json(self) -> dict[str, object]:
        """As image-spec's descriptor.md writes it."""
        plain: dict[str, object] = {"mediaType": self.media_type, "digest": self.digest, "size": self.size}
        if self.artifact_type:
            plain["artifactType"] = self.artifact_type
        if self.annotations:
            plain["annotations"] = dict(sorted(self.annotations))
        if self.architecture:
            plain["platform"] = {"architecture": self.architecture, "os": "linux"}
        return plain

    @classmethod
    def from_json(cls, raw: Mapping[str, Any]) -> Descriptor:
        """Read one; raises BundleError for anything that isn't a sha256 descriptor."""
        try:
            return cls(
                media_type=str(raw["mediaType"]),
                digest=checked_digest(str(raw["digest"])),
                size=int(raw["size"]),
                annotations=tuple(sorted((raw.get("annotations") or {}).items())),
                artifact_type=str(raw.get("artifactType") or ""),
                architecture=str((raw.get("platform") or {}).get("architecture") or ""),
            )
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise BundleError("not an OCI descriptor", detail=repr(raw)) from error


@dataclass(frozen=True, slots=True)
class Manifest:
    """An OCI manifest: a config and layers, with what kind of artifact they make."""

    config: Descriptor
    layers: tuple[Descriptor, ...]
    artifact_type: str = ""
    annotations: tuple[tuple[str, str], ...] = ()

    def to_json(self) -> dict[str, object]:
        """As image-spec's manifest.md writes it."""
        plain: dict[str, object] = {"schemaVersion": 2, "mediaType": MANIFEST}
        if self.artifact_type:
            plain["artifactType"] = self.artifact_type
        plain["config"] = self.config.to_json()
        plain["layers"] = [layer.to_json() for layer in self.layers]
        if self.annotations:
            plain["annotations"] = dict(sorted(self.annotations))
        return plain

    @classmethod
    def parse(cls, text: bytes) -> Manifest:
        """Read one; raises BundleError when it isn't a manifest."""
        raw = parse_json(text)
        if "config" not in raw or "layers" not in raw:
            raise BundleError("not an OCI image manifest", detail=text[:200].decode(errors="replace"))
        return cls(
            config=Descriptor.from_json(raw["config"]),
            layers=tuple(Descriptor.from_json(layer) for layer in raw["layers"]),
            artifact_type=str(raw.get("artifactType") or ""),
            annotations=tuple(sorted((raw.get("annotations") or {}).items())),
        )


class BlobStore:
    """Blobs by digest below ``root``/blobs/sha256, as image-layout.md has them."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.folder = root / "blobs" / "sha256"

    def path(self, digest: str) -> Path:
        """Where the blob is or would be."""
        return self.folder / checked_digest(digest).removeprefix("sha256:")

    def has(self, blob: Descriptor) -> bool:
        """Whether the blob is there in full length. Its content is for ``verify`` to judge."""
        try:
            return self.path(blob.digest).stat().st_size == blob.size
        except OSError:
            return False

    def read(self, blob: Descriptor) -> bytes:
        """A small blob whole; raises BundleError when it's missing or not what its digest says."""
        try:
            content = self.path(blob.digest).read_bytes()
        except OSError as error:
            raise BundleError(f"blob {blob.digest} is missing", where=str(self.root)) from error
        if sha256(content) != blob.digest:
            raise BundleError(f"blob {blob.digest} is damaged", where=str(self.root))
        return content

    def add(self, content: bytes, media_type: str) -> Descriptor:
        """Store ``content``."""
        with self.writer() as writer:
            writer.write(content)
        return writer.describe(media_type)

    def add_json(self, plain: Mapping[str, object], media_type: str) -> Descriptor:
        """Store canonical JSON."""
        return self.add(canonical(plain), media_type)

    def add_file(self, path: Path, media_type: str) -> Descriptor:
        """Store a copy of the file."""
        with self.writer() as writer, path.open("rb") as file:
            while chunk := file.read(CHUNK):
                writer.write(chunk)
        return writer.describe(media_type)

    @contextmanager
    def writer(self, expected: str = "") -> Iterator[BlobWriter]:
        """Stream a blob in; it gets its name at the end of the block, or leaves no trace on an error.

        With ``expected``, content of any other digest is a BundleError and is not kept.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        with atomic_file(self.folder) as pending:
            writer = BlobWriter(pending.file)
            yield writer
            if expected and writer.digest != expected:
                raise BundleError(f"got {writer.digest} where {expected} was asked for")
            present = self.path(writer.digest)
            # A whole one stays the file it is: trees under running machines are links to it.
            if not (present.is_file() and digest_of(present) == writer.digest):
                pending.target = present


class BlobWriter:
    """A write-only stream that knows its digest and length so far."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._hash = hashlib.sha256()
        self.size = 0

    def write(self, chunk: bytes) -> int:
        """Append; as tarfile wants it, the number of bytes taken is returned."""
        self._file.write(chunk)
        self._hash.update(chunk)
        self.size += len(chunk)
        return len(chunk)

    def tell(self) -> int:
        """Bytes so far."""
        return self.size

    @property
    def digest(self) -> str:
        """The digest of what was written so far."""
        return f"sha256:{self._hash.hexdigest()}"

    def describe(self, media_type: str) -> Descriptor:
        """The descriptor of what was written."""
        return Descriptor(media_type, self.digest, self.size)


@dataclass(slots=True)
class Pending:
    """A file that isn't there yet; ``target`` is the name it gets when its block ends well."""

    file: BinaryIO
    target: Path | None = None


@contextmanager
def atomic_file(folder: Path) -> Iterator[Pending]:
    """A file in ``folder`` that appears whole under ``Pending.target`` or not at all."""
    with tempfile.NamedTemporaryFile(dir=folder, prefix=".pending-", delete=False) as file:
        temporary = Path(file.name)
        pending = Pending(cast(BinaryIO, file))
        try:
            yield pending
            file.flush()
            os.fsync(file.fileno())
            os.fchmod(file.fileno(), 0o644)
            if pending.target is not None:
                temporary.replace(pending.target)
        finally:
            temporary.unlink(missing_ok=True)


def write_atomically(path: Path, content: bytes) -> None:
    """Replace ``path`` by ``content`` in one go."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_file(path.parent) as pending:
        pending.file.write(content)
        pending.target = path


def link_or_copy(source: Path, target: Path) -> None:
    """Make ``target`` the same content as ``source``: a hard link where possible, else a copy; a no-op if it is."""
    target.parent.mkdir(parents=True, exist_ok=True)
    if target.exists() and target.samefile(source):
        return
    fresh = target.with_name(f".pending-{target.name}")
    fresh.unlink(missing_ok=True)
    try:
        fresh.hardlink_to(source)
        fresh.replace(target)
    except OSError:  # another file system, or one without hard links
        with atomic_file(target.parent) as pending, source.open("rb") as file:
            shutil.copyfileobj(file, pending.file, CHUNK)
            pending.target = target


def canonical(plain: object) -> bytes:
    """JSON whose bytes depend on nothing but its content."""
    return json.dumps(plain, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def parse_json(text: bytes) -> dict[str, Any]:
    """A JSON object from outside; raises BundleError when it isn't one."""
    try:
        plain = json.loads(text)
    except ValueError as error:
        raise BundleError("not JSON", detail=text[:200].decode(errors="replace")) from error
    if not isinstance(plain, dict):
        raise BundleError("not a JSON object", detail=text[:200].decode(errors="replace"))
    return plain


def sha256(content: bytes) -> str:
    """The digest of ``content`` as OCI writes it."""
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def digest_of(path: Path) -> str:
    """The digest of a file's content."""
    with path.open("rb") as file:
        return f"sha256:{hashlib.file_digest(file, 'sha256').hexdigest()}"


def checked_digest(digest: str) -> str:
    """``digest`` if it's a well-formed sha256 digest; it becomes a file name, so nothing else may pass."""
    if not _DIGEST.fullmatch(digest):
        raise BundleError(f"{digest!r} is not a sha256 digest")
    return digest
