"""The bundle for real: served, mirrored, carried elsewhere, damaged and mended. No platform is needed."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest

from groundplane.bundle.archive import export_bundle, import_bundle
from groundplane.bundle.bundle import Bundle
from groundplane.bundle.obtain import obtain
from groundplane.bundle.sources import Mirrors
from groundplane.bundle.versions import load_versions
from groundplane.software import DEFAULT_VERSION
from groundplane.store import Home
from tests.lab.served import prove_registry, served
from tests.lab.site import make_site

pytestmark = [pytest.mark.lab, pytest.mark.timeout(3600)]


@pytest.fixture(scope="module")
def bundle() -> Bundle:
    """The default version's bundle, in the user's cache: built there if it isn't."""
    return obtain(DEFAULT_VERSION, cache=Home.find().cache / "bundle")


@pytest.fixture(scope="module")
def exported(bundle: Bundle, tmp_path_factory: pytest.TempPathFactory) -> Path:
    target = tmp_path_factory.mktemp("export") / "bundle.tar"
    export_bundle(bundle, target)
    return target


def test_the_registry_gives_every_image_back(bundle: Bundle) -> None:
    assert prove_registry(bundle) > 100_000_000


def test_every_blob_is_what_its_name_says(bundle: Bundle) -> None:
    assert bundle.verify() == ()


def test_a_mirror_of_the_official_releases_gives_the_same_programs_and_images(bundle: Bundle, tmp_path: Path) -> None:
    hosts = make_site(bundle, load_versions(DEFAULT_VERSION), tmp_path / "site")
    registries = {image.reference.partition("/")[0] for image in bundle.images}
    with served(bundle) as api, files_served(tmp_path / "site") as base:
        mirrored = obtain(
            DEFAULT_VERSION,
            cache=tmp_path / "cache",
            source="release",
            mirrors=Mirrors(
                registries=tuple((host, f"{api}/{host}") for host in sorted(registries)),
                files=tuple((host, f"{base}/{host}") for host, _ in hosts),
            ),
        )
    assert {(program.path, program.digest) for program in mirrored.binaries} == {
        (program.path, program.digest) for program in bundle.binaries
    }
    assert {(image.reference, image.digest) for image in mirrored.images} == {
        (image.reference, image.digest) for image in bundle.images
    }


def test_an_exported_bundle_is_the_same_elsewhere(bundle: Bundle, exported: Path, tmp_path: Path) -> None:
    assert import_bundle(exported, tmp_path / "cache").digest == bundle.digest


def test_damage_is_found_named_and_mended(exported: Path, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    carried = import_bundle(exported, cache)
    victim = next(program for program in carried.binaries if program.name == "kubectl")
    blob = carried.blobs.path(victim.digest)
    with blob.open("r+b") as file:
        file.truncate(1000)
    damages = carried.verify()
    assert [(damage.digest, damage.kind) for damage in damages] == [(victim.digest, "truncated")]
    assert "kubernetes" in damages[0].parts
    carried.discard(damages)
    assert obtain(DEFAULT_VERSION, cache=cache, source="file", file=exported).verify() == ()


def test_the_command_line_reads_the_same_bundle(bundle: Bundle) -> None:
    listed = subprocess.run(
        [sys.executable, "-m", "groundplane", "bundle", "list"], capture_output=True, text=True, check=True
    )
    assert all(part.name in listed.stdout for part in bundle.parts)


@contextmanager
def files_served(folder: Path) -> Iterator[str]:
    """The folder on loopback over HTTP; its address."""

    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, format: str, *args: object) -> None:
            """Nobody reads it."""

    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(folder))) as server:
        thread = Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()
