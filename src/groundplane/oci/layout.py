"""Content-addressed storage in OCI's terms: descriptors, a blob store, and the JSON that names them.

See the OCI image-spec: descriptor.md, image-layout.md, manifest.md. Everything written here is on disk
completely or not at all (temporary file, fsync, rename), and the same input always gives the same bytes.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, BinaryIO, Final

from groundplane.errors import BundleError
from groundplane.oci.files import CHUNK, atomic_file, digest_of, sha256

INDEX: Final = "application/vnd.oci.image.index.v1+json"
DOCKER_INDEX: Final = "application/vnd.docker.distribution.manifest.list.v2+json"
DOCKER_MANIFEST: Final = "application/vnd.docker.distribution.manifest.v2+json"
MANIFEST: Final = "application/vnd.oci.image.manifest.v1+json"
CONFIG: Final = "application/vnd.oci.image.config.v1+json"
EMPTY: Final = "application/vnd.oci.empty.v1+json"
LAYER: Final = "application/vnd.oci.image.layer.v1.tar"

TITLE: Final = "org.opencontainers.image.title"
VERSION: Final = "org.opencontainers.image.version"
LICENCE: Final = "org.opencontainers.image.licenses"
REFERENCE: Final = "org.opencontainers.image.ref.name"
CONTAINERD_NAME: Final = "io.containerd.image.name"

INDEXES: Final = frozenset({INDEX, DOCKER_INDEX})
MANIFESTS: Final = frozenset({MANIFEST, DOCKER_MANIFEST})
"""What lists images, and what lists one image's layers, as OCI and as Docker call them."""

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


def checked_digest(digest: str) -> str:
    """``digest`` if it's a well-formed sha256 digest; it becomes a file name, so nothing else may pass."""
    if not _DIGEST.fullmatch(digest):
        raise BundleError(f"{digest!r} is not a sha256 digest")
    return digest


def manifests_below(blobs: BlobStore, image: Descriptor) -> tuple[Descriptor, ...]:
    """The image manifests of an image: itself, or those its index lists and ``blobs`` has (one per architecture)."""
    if image.media_type not in INDEXES:
        return (image,)
    listed = (Descriptor.from_json(one) for one in parse_json(blobs.read(image)).get("manifests", ()))
    return tuple(one for one in listed if one.media_type in MANIFESTS and blobs.has(one))
