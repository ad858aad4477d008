"""Downloads over HTTP: official files, each with its published checksum."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

import httpx

from groundplane.errors import BundleError
from groundplane.oci.files import atomic_file

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


def published_sha256(text: str, name: str) -> str:
    """The checksum of ``name`` in a checksum file: either the bare hash, or sha256sum's lines of many files."""
    for line in text.splitlines():
        fields = line.split()
        if fields and _HEX.fullmatch(fields[0]) and (len(fields) == 1 or fields[1].lstrip("*./") == name):
            return fields[0]
    raise BundleError(f"no sha256 of {name} was published", detail=text[:200])
