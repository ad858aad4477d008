"""The ``release`` source: what the projects themselves publish, from their addresses or a mirror of them."""

from __future__ import annotations

import shutil
import tarfile
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Final

import httpx

from groundplane.bundle.modules import host_architecture
from groundplane.bundle.record import PartRecord, inputs_digest, pack
from groundplane.bundle.sources import Mirrors
from groundplane.bundle.versions import PartSpec, ReleaseFile
from groundplane.bundle.web import Web
from groundplane.errors import BundleError
from groundplane.events import Emit, Progress
from groundplane.oci.files import sha256
from groundplane.oci.layer import image_descriptor
from groundplane.oci.layout import BlobStore, Descriptor, canonical
from groundplane.oci.registry import Registry, split

_ASK: Final = httpx.Timeout(3.0)  # seconds: whether the official addresses answer decides the source
_FETCH: Final = httpx.Timeout(30.0)  # seconds without a byte


class ReleaseSource:
    """Official binaries and images. ``transport`` replaces the network in tests."""

    name: Final = "release"

    def __init__(
        self,
        mirrors: Mirrors,
        blobs: BlobStore,
        emit: Emit,
        *,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        self._blobs = blobs
        self._emit = emit
        self._files, self._registries = dict(mirrors.files), dict(mirrors.registries)
        self._transport = transport

    def reachable(self, part: PartSpec) -> bool:
        """Whether a part's first checksum and registry answer within seconds; never raises."""
        with self._client(_ASK) as client:
            try:
                for file in part.release_files[:1]:
                    Web(client, self._files).text(_here(file.checksum))
            except BundleError:
                return False
            registry = Registry(client, self._registries)
            return all(registry.answers(split(image.upstream)[0]) for image in part.release_images[:1])

    def offers(self, part: PartSpec) -> bool:
        """Whether every binary and image of the part is published."""
        images = {image.reference for image in part.release_images}
        outputs = {name for file in part.release_files for name, _ in file.outputs}
        wanted = {image.reference for image in part.images}, {binary.name for binary in part.binaries}
        return bool(images or outputs) and wanted[0] <= images and wanted[1] <= outputs

    def base_for(self, part: PartSpec) -> str:
        """Official images come with what's below them."""
        return ""

    def key(self, part: PartSpec, base: PartRecord | None) -> str:
        """The part's inputs: what's published under a version doesn't change."""
        about = {"architecture": host_architecture(), "inputs": inputs_digest(part), "source": self.name}
        return sha256(canonical(about))

    def prepare(self, part: PartSpec) -> None:
        """Nothing: ``provide`` is all download."""

    def provide(self, part: PartSpec, base: PartRecord | None) -> PartRecord:
        """Fetch, check and store one part."""
        scratch = self._blobs.root / "build"
        scratch.mkdir(parents=True, exist_ok=True)
        with (
            tempfile.TemporaryDirectory(dir=scratch, prefix=f"{part.name}-") as name,
            self._client(_FETCH) as client,
        ):
            outputs: dict[str, Path] = {}
            for position, file in enumerate(part.release_files):
                self._tell(part, file.url, position)
                outputs |= _outputs(file, Web(client, self._files), Path(name))
            images = []
            for position, image in enumerate(part.release_images, len(part.release_files)):
                self._tell(part, image.upstream, position)
                images.append(self._pull(client, image.upstream, image.reference))
            return pack(self._blobs, part, source=self.name, outputs=outputs, images=images)

    def _pull(self, client: httpx.Client, upstream: str, reference: str) -> Descriptor:
        manifest = Registry(client, self._registries).pull(upstream, host_architecture(), self._blobs)
        described = image_descriptor(manifest, reference, host_architecture())
        return replace(described, media_type=manifest.media_type)

    def _tell(self, part: PartSpec, what: str, done: int) -> None:
        total = len(part.release_files) + len(part.release_images)
        self._emit(Progress(part.name, "download", note=what, done=done, total=total))

    def _client(self, timeout: httpx.Timeout) -> httpx.Client:
        return httpx.Client(timeout=timeout, follow_redirects=True, transport=self._transport)


def _here(address: str) -> str:
    return address.replace("{arch}", host_architecture())


def _outputs(file: ReleaseFile, web: Web, folder: Path) -> dict[str, Path]:
    """Download one file and take out of it what the part wants, by output name."""
    url = _here(file.url)
    target = folder / url.rpartition("/")[2]
    web.download(url, _here(file.checksum), target)
    if all(member == "" for _, member in file.outputs):
        return {name: target for name, _ in file.outputs}
    out = folder / f"{target.name}.d"
    out.mkdir()
    try:
        with tarfile.open(target) as archive:
            return {name: _extract(archive, _here(member), out / name) for name, member in file.outputs}
    except (KeyError, tarfile.TarError) as error:
        raise BundleError("the archive lacks what it should hold", where=url, detail=str(error)) from error


def _extract(archive: tarfile.TarFile, member: str, target: Path) -> Path:
    source = archive.extractfile(member)
    if source is None:
        raise KeyError(member)
    with source, target.open("wb") as file:
        shutil.copyfileobj(source, file)
    return target
