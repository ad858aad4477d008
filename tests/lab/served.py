"""Serving a bundle's images for real, on loopback: the registry in the bundle over the bundle's registry tree.

``prove_registry`` pulls every image back through HTTP and compares digests: what machines will do. The
served registry is also a mirror like any other, so the ``release`` source can be tried against it.
"""

from __future__ import annotations

import json
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from time import monotonic
from typing import Final

import httpx

from groundplane.bundle.bundle import Bundle
from groundplane.bundle.modules import host_architecture
from groundplane.bundle.trees import registry_tree, software_tree
from groundplane.errors import BundleError, ConditionTimeout
from groundplane.events import Emit, Progress, reported, silent
from groundplane.oci.layout import BlobStore
from groundplane.oci.registry import Registry, split

_DEADLINE: Final = 20.0  # seconds the registry has to answer
_PAUSE: Final = 0.1  # seconds between two attempts


@contextmanager
def served(bundle: Bundle) -> Iterator[str]:
    """Run the bundle's registry read-only over its registry tree; the address of its API, ``http://…/v2``."""
    programs, images = software_tree(bundle), registry_tree(bundle)
    with socket.create_server(("127.0.0.1", 0)) as probe:
        address = f"127.0.0.1:{probe.getsockname()[1]}"
    with tempfile.TemporaryDirectory(prefix="groundplane-registry-") as name:
        config, log = Path(name) / "config.json", Path(name) / "log"  # JSON is YAML
        config.write_text(json.dumps(registry_config(images, address)))
        with log.open("wb") as output:
            process = subprocess.Popen(
                (programs / "usr/local/bin/registry", "serve", config),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                process_group=0,
            )
        try:
            _await(f"http://{address}/v2/", process, log)
            yield f"http://{address}/v2"
        finally:
            process.terminate()
            process.wait()


def registry_config(images: Path, address: str) -> dict[str, object]:
    """A distribution registry's configuration for a storage that's only read."""
    return {
        "version": "0.1",
        "log": {"level": "warn", "accesslog": {"disabled": True}},
        "storage": {
            "filesystem": {"rootdirectory": str(images)},
            "maintenance": {"uploadpurging": {"enabled": False}, "readonly": {"enabled": True}},
        },
        "http": {"addr": address, "headers": {"X-Content-Type-Options": ["nosniff"]}},
    }


def prove_registry(bundle: Bundle, emit: Emit = silent) -> int:
    """Pull every image of the bundle from its served registry tree; the number of bytes that came through.

    Raises BundleError when anything is missing or differs.
    """
    with reported(emit, "bundle", "prove"), served(bundle) as api, tempfile.TemporaryDirectory() as name:
        received = BlobStore(Path(name))
        with httpx.Client(trust_env=False) as client:
            for done, image in enumerate(bundle.images):
                emit(Progress("bundle", "prove", note=image.reference, done=done, total=len(bundle.images)))
                host, _, _ = split(image.reference)
                pulled = Registry(client, {host: f"{api}/{host}"}).pull(image.reference, host_architecture(), received)
                if pulled.digest != image.digest:
                    raise BundleError(f"the registry gave {pulled.digest}", where=image.reference)
        return sum(path.stat().st_size for path in received.folder.iterdir())


def _await(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    """Until the registry answers; a registry that ended, or stays silent past the deadline, is told with its log."""
    deadline, last = monotonic() + _DEADLINE, ""
    while monotonic() < deadline:
        try:
            httpx.get(url, trust_env=False).raise_for_status()
            return
        except httpx.HTTPError as error:
            last = str(error)
        try:
            process.wait(_PAUSE)
        except subprocess.TimeoutExpired:
            continue
        raise BundleError("the registry ended", where=url, detail=log.read_text(errors="replace"))
    raise ConditionTimeout("the registry does not answer", where=url, detail=last)
