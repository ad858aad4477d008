"""Downloads over HTTP: official files with their published checksums, and images from OCI registries.

The registry side is the pull half of the OCI distribution-spec: a manifest by tag or digest, an index
resolved to this architecture, blobs by digest, and the anonymous bearer token public registries ask for.
Everything stored is checked against its digest first.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

import httpx

from groundplane.bundle.layout import (
    INDEX,
    MANIFEST,
    BlobStore,
    Descriptor,
    Manifest,
    atomic_file,
    parse_json,
    sha256,
)
from groundplane.errors import BundleError

_DOCKER_INDEX: Final = "application/vnd.docker.distribution.manifest.list.v2+json"
_DOCKER_MANIFEST: Final = "application/vnd.docker.distribution.manifest.v2+json"
_ACCEPT: Final = ", ".join((MANIFEST, INDEX, _DOCKER_MANIFEST, _DOCKER_INDEX))
_MANIFEST_LIMIT: Final = 4 << 20  # bytes, as registries themselves limit it
_PARAMETER: Final = re.compile(r'(\w+)="([^"]*)"')
_HEX: Final = re.compile(r"[0-9a-f]{64}")


class Web:
    """Fetches through ``client``; ``hosts`` maps a host to the base address that serves it instead."""

    def __init__(self, client: httpx.Client, hosts: Mapping[str, str]) -> None:
        self._client = client
        self._hosts = hosts

    def download(self, url: str, checksum_url: str, target: Path) -> None:
        """Fetch a file whose published checksum must fit; raises BundleError if it doesn't."""
        wanted = published_sha256(self.text(checksum_url), urlsplit(url).path.rpartition("/")[2])
        digest = hashlib.sha256()
        with atomic_file(target.parent) as pending, self._stream(self._address(url)) as response:
            for chunk in response.iter_bytes():
                pending.file.write(chunk)
                digest.update(chunk)
            if digest.hexdigest() != wanted:
                raise BundleError("the download isn't what its checksum says", where=url)
            pending.target = target

    def text(self, url: str) -> str:
        """A small text, such as a checksum file."""
        with self._stream(self._address(url)) as response:
            return response.read().decode(errors="replace")

    @contextmanager
    def _stream(self, url: str, headers: Mapping[str, str] | None = None) -> Iterator[httpx.Response]:
        try:
            with self._client.stream("GET", url, headers=dict(headers or {})) as response:
                if response.status_code >= httpx.codes.BAD_REQUEST:
                    raise BundleError(f"answered {response.status_code} {response.reason_phrase}", where=url)
                yield response
        except httpx.HTTPError as error:
            raise BundleError(
                "can't be fetched", where=url, hint="use the source `modules`, or a mirror", detail=str(error)
            ) from error

    def _address(self, url: str) -> str:
        parts = urlsplit(url)
        base = self._hosts.get(parts.netloc, f"{parts.scheme}://{parts.netloc}")
        return base.rstrip("/") + parts.path


class Registry:
    """Pulls from OCI registries; ``hosts`` maps a registry host to the base address that serves it instead."""

    def __init__(self, client: httpx.Client, hosts: Mapping[str, str]) -> None:
        self._client = client
        self._hosts = hosts
        self._tokens: dict[str, str] = {}

    def answers(self, host: str) -> bool:
        """Whether the registry speaks to us at all."""
        try:
            # A mirror that keeps registries apart by path has nothing at their root: 404 is an answer, too.
            return self._client.get(f"{self._base(host)}/").status_code in {200, 401, 404}
        except httpx.HTTPError:
            return False

    def pull(self, reference: str, architecture: str, blobs: BlobStore) -> Descriptor:
        """Store the image's manifest and blobs for one architecture; the descriptor of its manifest."""
        host, repository, tag = split(reference)
        place = f"{self._base(host)}/{repository}"
        text, kind = self._manifest(f"{place}/manifests/{tag}")
        if kind in {INDEX, _DOCKER_INDEX}:
            chosen = _for_architecture(text, architecture, reference)
            text, kind = self._manifest(f"{place}/manifests/{chosen.digest}")
            if sha256(text) != chosen.digest:
                raise BundleError("the manifest isn't what its digest says", where=reference)
        manifest = Manifest.parse(text)
        for blob in (manifest.config, *manifest.layers):
            if not blobs.has(blob):
                with (
                    blobs.writer(expected=blob.digest) as writer,
                    self._stream(f"{place}/blobs/{blob.digest}") as answer,
                ):
                    for chunk in answer.iter_bytes():
                        writer.write(chunk)
        return blobs.add(text, kind)

    def _manifest(self, url: str) -> tuple[bytes, str]:
        with self._stream(url, {"Accept": _ACCEPT}) as response:
            text = b""
            for chunk in response.iter_bytes():
                text += chunk
                if len(text) > _MANIFEST_LIMIT:
                    raise BundleError("the manifest is absurdly large", where=url)
            kind = response.headers.get("Content-Type", "").partition(";")[0]
        return text, str(parse_json(text).get("mediaType") or kind)

    @contextmanager
    def _stream(self, url: str, headers: Mapping[str, str] | None = None) -> Iterator[httpx.Response]:
        """GET, once more with an anonymous token where the registry asks for one (distribution-spec, token auth)."""
        scope = url.split("/manifests/")[0].split("/blobs/")[0]
        try:
            for again in (True, False):
                with self._client.stream("GET", url, headers={**(headers or {}), **self._authority(scope)}) as answer:
                    if answer.status_code == httpx.codes.UNAUTHORIZED and again:
                        self._tokens[scope] = self._token(answer.headers.get("WWW-Authenticate", ""))
                        continue
                    if answer.status_code >= httpx.codes.BAD_REQUEST:
                        raise BundleError(f"the registry answered {answer.status_code}", where=url)
                    yield answer
                    return
        except httpx.HTTPError as error:
            raise BundleError(
                "can't be pulled", where=url, hint="use the source `modules`, or a mirror", detail=str(error)
            ) from error

    def _authority(self, scope: str) -> dict[str, str]:
        token = self._tokens.get(scope)
        return {"Authorization": f"Bearer {token}"} if token else {}

    def _token(self, challenge: str) -> str:
        parameters = dict(_PARAMETER.findall(challenge))
        realm = parameters.pop("realm", "")
        if not challenge.lower().startswith("bearer ") or not realm:
            raise BundleError("the registry wants a login", detail=challenge)
        answer = self._client.get(realm, params=parameters)
        told = parse_json(answer.content)
        return str(told.get("token") or told.get("access_token") or "")

    def _base(self, host: str) -> str:
        return self._hosts.get(host, f"https://{host}/v2").rstrip("/")


def split(reference: str) -> tuple[str, str, str]:
    """``host/repository:tag`` or ``host/repository@digest`` in its three pieces."""
    host, _, rest = reference.partition("/")
    if "@" in rest:
        repository, _, tag = rest.partition("@")
    else:
        repository, _, tag = rest.rpartition(":")
    return host, repository, tag


def published_sha256(text: str, name: str) -> str:
    """The checksum of ``name`` in a checksum file: either the bare hash, or sha256sum's lines of many files."""
    for line in text.splitlines():
        fields = line.split()
        if fields and _HEX.fullmatch(fields[0]) and (len(fields) == 1 or fields[1].lstrip("*./") == name):
            return fields[0]
    raise BundleError(f"no sha256 of {name} was published", detail=text[:200])


def _for_architecture(text: bytes, architecture: str, reference: str) -> Descriptor:
    for raw in parse_json(text).get("manifests", ()):
        if (raw.get("platform") or {}).get("os") == "linux":
            descriptor = Descriptor.from_json(raw)
            if descriptor.architecture == architecture:
                return descriptor
    raise BundleError(f"there's no image for linux/{architecture}", where=reference)
