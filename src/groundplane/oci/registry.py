"""Pulling images from OCI registries.

This is the pull half of the OCI distribution-spec: a manifest by tag or digest, an index resolved to one architecture,
blobs by digest, and the anonymous bearer token public registries ask for. Everything stored is checked against its
digest first.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Final

import httpx

from groundplane.errors import BundleError
from groundplane.oci.files import sha256
from groundplane.oci.layout import (
    DOCKER_INDEX,
    DOCKER_MANIFEST,
    INDEX,
    INDEXES,
    MANIFEST,
    BlobStore,
    Descriptor,
    Manifest,
    parse_json,
)

_ACCEPT: Final = ", ".join((MANIFEST, INDEX, DOCKER_MANIFEST, DOCKER_INDEX))
_MANIFEST_LIMIT: Final = 4 << 20  # bytes, as registries themselves limit it
_PARAMETER: Final = re.compile(r'(\w+)="([^"]*)"')


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
        if kind in INDEXES:
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


def _for_architecture(text: bytes, architecture: str, reference: str) -> Descriptor:
    for raw in parse_json(text).get("manifests", ()):
        if (raw.get("platform") or {}).get("os") == "linux":
            descriptor = Descriptor.from_json(raw)
            if descriptor.architecture == architecture:
                return descriptor
    raise BundleError(f"there's no image for linux/{architecture}", where=reference)
