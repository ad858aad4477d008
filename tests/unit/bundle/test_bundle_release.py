"""The release source against a scripted network: checksums, registries, tokens, and what decides for it."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import httpx
import pytest
from tests.unit.bundle.fake import FakeRunner, fake_versions

from groundplane.bundle.modules import ModulesSource, host_architecture
from groundplane.bundle.obtain import assemble, obtain
from groundplane.bundle.release import ReleaseSource
from groundplane.bundle.sources import Mirrors, Source
from groundplane.bundle.versions import PartSpec, ReleaseFile, ReleaseImage, Versions
from groundplane.bundle.web import published_sha256
from groundplane.errors import BundleError
from groundplane.events import silent
from groundplane.oci.files import sha256
from groundplane.oci.layout import BlobStore, canonical
from groundplane.oci.registry import Registry, split

Handler = Callable[[httpx.Request], httpx.Response]

LAYER, CONFIG = b"a layer", b'{"os":"linux"}'


def described(content: bytes, kind: str) -> dict[str, object]:
    return {"mediaType": kind, "digest": sha256(content), "size": len(content)}


MANIFEST = canonical(
    {
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": described(CONFIG, "application/vnd.oci.image.config.v1+json"),
        "layers": [described(LAYER, "application/vnd.oci.image.layer.v1.tar+gzip")],
    }
)
INDEX = canonical(
    {
        "mediaType": "application/vnd.oci.image.index.v1+json",
        "manifests": [
            {**described(b"other", "x/y"), "platform": {"os": "linux", "architecture": "s390x"}},
            {
                **described(b"other", "x/y"),
                "platform": {"os": "windows", "architecture": host_architecture()},
            },
            {
                **described(MANIFEST, "application/vnd.oci.image.manifest.v1+json"),
                "platform": {"os": "linux", "architecture": host_architecture()},
            },
        ],
    }
)


def archive(**members: bytes) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz") as tar:
        for name, content in members.items():
            info = tarfile.TarInfo(f"bin/{name}")
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    return out.getvalue()


class Internet:
    """Answers by address; every request is remembered."""

    def __init__(self, tmp_path: Path) -> None:
        tar = archive(agent=b"official agent")
        self.asked: list[str] = []
        self.pages: dict[str, bytes] = {
            "https://dl.example/agent.tgz": tar,
            "https://dl.example/agent.tgz.sha256": f"{sha256(tar)[7:]}  agent.tgz\n".encode(),
            "https://registry.k8s.io/v2/": b"{}",
        }
        for repository in ("proxy", "server", "pause"):
            base = f"https://registry.k8s.io/v2/{repository}"
            self.pages[f"{base}/manifests/{'1' if repository == 'pause' else 'v1'}"] = INDEX
            self.pages[f"{base}/manifests/{sha256(MANIFEST)}"] = MANIFEST
            self.pages |= {f"{base}/blobs/{sha256(blob)}": blob for blob in (LAYER, CONFIG)}

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.asked.append(str(request.url))
        page = self.pages.get(str(request.url))
        return httpx.Response(404) if page is None else httpx.Response(200, content=page)


def released(part: PartSpec) -> PartSpec:
    files = (
        (
            ReleaseFile(
                "https://dl.example/agent.tgz",
                "https://dl.example/agent.tgz.sha256",
                (("agent", "bin/agent"),),
            ),
        )
        if part.binaries
        else ()
    )
    images = tuple(ReleaseImage(image.reference, image.reference) for image in part.images)
    return replace(part, release_files=files, release_images=images)


@pytest.fixture
def internet(tmp_path: Path) -> Internet:
    return Internet(tmp_path)


@pytest.fixture
def versions(tmp_path: Path) -> Versions:
    plain = fake_versions(tmp_path / "data")
    return replace(plain, parts=tuple(released(part) for part in plain.parts))


def release(tmp_path: Path, handler: Handler, mirrors: Mirrors | None = None) -> ReleaseSource:
    blobs = BlobStore(tmp_path / "cache")
    return ReleaseSource(mirrors or Mirrors(), blobs, silent, transport=httpx.MockTransport(handler))


def test_a_whole_bundle_from_official_parts(tmp_path: Path, internet: Internet, versions: Versions) -> None:
    modules = ModulesSource(FakeRunner(broken=["go", "gcc", "mmdebstrap"]), BlobStore(tmp_path / "cache"), silent)
    bundle = assemble(versions, [release(tmp_path, internet), modules], tmp_path / "cache", silent)
    assert [(part.name, part.source) for part in bundle.parts] == [
        ("cluster", "release"),
        ("pause", "release"),
    ]
    assert bundle.verify() == ()
    assert bundle.blobs.path(bundle.binaries[0].digest).read_bytes() == b"official agent"
    assert bundle.image("registry.k8s.io/proxy:v1").digest == sha256(MANIFEST)


def test_what_nobody_publishes_is_built(tmp_path: Path, internet: Internet, versions: Versions) -> None:
    pause = replace(versions.part("pause"), release_images=())
    mixed = replace(versions, parts=(*versions.parts[:2], pause))
    sources: list[Source] = [
        release(tmp_path, internet),
        ModulesSource(FakeRunner(), BlobStore(tmp_path / "cache"), silent),
    ]
    bundle = assemble(mixed, sources, tmp_path / "cache", silent)
    assert [part.source for part in bundle.parts] == ["release", "modules"]
    with pytest.raises(BundleError, match="can't be had from release"):
        assemble(mixed, sources[:1], tmp_path / "cache", silent)


def test_a_wrong_checksum_is_refused(tmp_path: Path, internet: Internet, versions: Versions) -> None:
    internet.pages["https://dl.example/agent.tgz"] = archive(agent=b"another agent")
    with pytest.raises(BundleError, match="isn't what its checksum says"):
        release(tmp_path, internet).provide(versions.part("cluster"), None)


def test_a_wrong_blob_is_refused(tmp_path: Path, internet: Internet, versions: Versions) -> None:
    internet.pages[f"https://registry.k8s.io/v2/pause/blobs/{sha256(LAYER)}"] = b"b layer"
    with pytest.raises(BundleError, match="was asked for"):
        release(tmp_path, internet).provide(versions.part("pause"), None)


def test_an_archive_without_the_program_is_refused(tmp_path: Path, internet: Internet, versions: Versions) -> None:
    tar = archive(other=b"x")
    internet.pages["https://dl.example/agent.tgz"] = tar
    internet.pages["https://dl.example/agent.tgz.sha256"] = sha256(tar)[7:].encode()
    with pytest.raises(BundleError, match="lacks what it should hold"):
        release(tmp_path, internet).provide(versions.part("cluster"), None)


def test_mirrors_are_asked_instead(tmp_path: Path, internet: Internet, versions: Versions) -> None:
    mirrors = Mirrors(
        registries=(("registry.k8s.io", "http://mirror/v2/registry.k8s.io/"),),
        files=(("dl.example", "http://mirror/dl"),),
    )
    internet.pages = {
        url.replace("https://registry.k8s.io/v2", "http://mirror/v2/registry.k8s.io").replace(
            "https://dl.example", "http://mirror/dl"
        ): page
        for url, page in internet.pages.items()
    }
    source = release(tmp_path, internet, mirrors)
    assert source.reachable(versions.part("cluster"))
    source.provide(versions.part("cluster"), None)
    assert all(url.startswith("http://mirror/") for url in internet.asked)


def test_a_registry_that_wants_a_token_gets_one(tmp_path: Path, internet: Internet) -> None:
    def guarded(request: httpx.Request) -> httpx.Response:
        if request.url.host == "auth.example":
            assert dict(request.url.params) == {"service": "s", "scope": "repository:pause:pull"}
            return httpx.Response(200, json={"token": "t"})
        if request.headers.get("Authorization") != "Bearer t":
            challenge = 'Bearer realm="https://auth.example/token",service="s",scope="repository:pause:pull"'
            return httpx.Response(401, headers={"WWW-Authenticate": challenge})
        return internet(request)

    with httpx.Client(transport=httpx.MockTransport(guarded)) as client:
        pulled = Registry(client, {}).pull("registry.k8s.io/pause:1", host_architecture(), BlobStore(tmp_path))
    assert pulled.digest == sha256(MANIFEST)


def test_a_registry_that_wants_a_login_is_told_apart(tmp_path: Path) -> None:
    def locked(_: httpx.Request) -> httpx.Response:
        return httpx.Response(401, headers={"WWW-Authenticate": 'Basic realm="x"'})

    with (
        httpx.Client(transport=httpx.MockTransport(locked)) as client,
        pytest.raises(BundleError, match="wants a login"),
    ):
        Registry(client, {}).pull("registry.k8s.io/pause:1", "amd64", BlobStore(tmp_path))


def test_an_image_for_other_machines_only(tmp_path: Path, internet: Internet) -> None:
    with (
        httpx.Client(transport=httpx.MockTransport(internet)) as client,
        pytest.raises(BundleError, match="no image for linux/riscv64"),
    ):
        Registry(client, {}).pull("registry.k8s.io/pause:1", "riscv64", BlobStore(tmp_path))


def refused(request: httpx.Request) -> httpx.Response:
    raise httpx.ConnectError("no route", request=request)


@pytest.mark.parametrize("handler", [refused, lambda _: httpx.Response(403)])
def test_unreachable_addresses_are_no_error_until_they_are_needed(
    tmp_path: Path, handler: Handler, versions: Versions
) -> None:
    source = release(tmp_path, handler)
    assert not source.reachable(versions.part("cluster"))
    with pytest.raises(BundleError) as caught:
        source.provide(versions.part("cluster"), None)
    assert caught.value.where.startswith("https://")


@pytest.mark.parametrize(
    ("text", "name"), [("a" * 64, "x"), (f"{'b' * 64}  y\n{'a' * 64}  x\n", "x"), (f"{'a' * 64} *./x\n", "x")]
)
def test_checksum_files_come_in_three_ways(text: str, name: str) -> None:
    assert published_sha256(text, name) == "a" * 64


def test_a_checksum_file_about_something_else() -> None:
    with pytest.raises(BundleError, match="no sha256 of x"):
        published_sha256(f"{'b' * 64}  y\n<html>", "x")


def test_references() -> None:
    assert split("registry.k8s.io/coredns/coredns:v1") == ("registry.k8s.io", "coredns/coredns", "v1")
    assert split("ghcr.io/a/b@sha256:0") == ("ghcr.io", "a/b", "sha256:0")


@pytest.mark.parametrize(("source", "file"), [("file", None), ("modules", Path("x"))])
def test_a_file_goes_with_the_source_file(tmp_path: Path, source: str, file: Path | None) -> None:
    with pytest.raises(BundleError, match="goes with the source"):
        obtain("1.37.2", cache=tmp_path, source="file" if source == "file" else "modules", file=file)
