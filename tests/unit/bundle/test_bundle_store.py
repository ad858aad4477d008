"""Blobs, descriptors and layers: whole or not at all, and the same bytes every time."""

from __future__ import annotations

import tarfile
from pathlib import Path

import pytest

from groundplane.errors import BundleError
from groundplane.oci.files import link_or_copy, sha256, write_atomically
from groundplane.oci.layer import EPOCH, Entry, add_image, add_layer
from groundplane.oci.layout import LAYER, BlobStore, Descriptor, Manifest, canonical, checked_digest, parse_json

DIGEST = "sha256:" + "0" * 64


def test_a_blob_is_named_by_its_content(tmp_path: Path) -> None:
    blobs = BlobStore(tmp_path)
    blob = blobs.add(b"hello", "text/plain")
    assert blob == Descriptor("text/plain", sha256(b"hello"), 5)
    assert blobs.has(blob)
    assert blobs.read(blob) == b"hello"


def test_unexpected_content_leaves_no_trace(tmp_path: Path) -> None:
    blobs = BlobStore(tmp_path)
    with pytest.raises(BundleError, match="was asked for"), blobs.writer(expected=DIGEST) as writer:
        writer.write(b"other")
    assert list(blobs.folder.iterdir()) == []


def test_an_interrupted_write_leaves_no_trace(tmp_path: Path) -> None:
    blobs = BlobStore(tmp_path)

    def interrupted() -> bytes:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt), blobs.writer() as writer:
        writer.write(interrupted())
    assert list(blobs.folder.iterdir()) == []


def test_damage_is_seen_when_read(tmp_path: Path) -> None:
    blobs = BlobStore(tmp_path)
    blob = blobs.add(b"hello", "text/plain")
    blobs.path(blob.digest).write_bytes(b"jello")
    with pytest.raises(BundleError, match="damaged"):
        blobs.read(blob)
    blobs.path(blob.digest).unlink()
    assert not blobs.has(blob)
    with pytest.raises(BundleError, match="missing"):
        blobs.read(blob)


@pytest.mark.parametrize("digest", ["sha256:../../etc/passwd", "sha512:" + "0" * 64, "sha256:" + "A" * 64, ""])
def test_only_real_digests_become_file_names(digest: str) -> None:
    with pytest.raises(BundleError, match="not a sha256 digest"):
        checked_digest(digest)


def test_json_is_canonical_and_checked() -> None:
    assert canonical({"b": 1, "a": "ü"}) == '{"a":"ü","b":1}'.encode()
    for text in (b"[]", b"{"):
        with pytest.raises(BundleError):
            parse_json(text)


def test_descriptors_and_manifests_survive_the_round_trip() -> None:
    one = Descriptor("a/b", DIGEST, 3, (("k", "v"),), artifact_type="c/d", architecture="amd64")
    assert Descriptor.from_json(one.to_json()) == one
    manifest = Manifest(one, (one, one), "x/y", (("k", "v"),))
    assert Manifest.parse(canonical(manifest.to_json())) == manifest
    assert one.annotated({"k": "w", "a": "b"}).annotations == (("a", "b"), ("k", "w"))
    with pytest.raises(BundleError, match="not an OCI descriptor"):
        Descriptor.from_json({"digest": DIGEST})
    with pytest.raises(BundleError, match="not an OCI image manifest"):
        Manifest.parse(b"{}")


def test_links_replace_what_differs(tmp_path: Path) -> None:
    source, target = tmp_path / "source", tmp_path / "deep" / "target"
    source.write_text("new")
    write_atomically(target, b"old")
    link_or_copy(source, target)
    link_or_copy(source, target)
    assert target.samefile(source)


def test_a_layer_is_the_same_whatever_the_order_and_dates_of_its_files(tmp_path: Path) -> None:
    blobs = BlobStore(tmp_path)
    program = tmp_path / "program"
    program.write_bytes(b"\x7fELF")
    entries = [
        Entry("/usr/bin/program", program, 0o755),
        Entry("/etc/name", b"x\n"),
        Entry("/tmp", None, 0o1777),
    ]
    first = add_layer(blobs, entries)
    program.touch()
    assert add_layer(blobs, reversed(entries)) == first
    with tarfile.open(blobs.path(first.digest)) as tar:
        members = tar.getmembers()
    assert [(one.name, oct(one.mode)) for one in members] == [
        ("etc", "0o755"),
        ("etc/name", "0o644"),
        ("tmp", "0o1777"),
        ("usr", "0o755"),
        ("usr/bin", "0o755"),
        ("usr/bin/program", "0o755"),
    ]
    assert {(one.mtime, one.uid, one.gid, one.uname) for one in members} == {(EPOCH, 0, 0, "")}


def test_an_image_says_how_to_run_it(tmp_path: Path) -> None:
    blobs = BlobStore(tmp_path)
    layer = blobs.add(b"tar", LAYER)
    image = add_image(blobs, "r.example/x:1", [layer], architecture="amd64", entrypoint=["/x"], user="1:1")
    manifest = Manifest.parse(blobs.read(image))
    config = parse_json(blobs.read(manifest.config))
    assert manifest.layers == (layer,)
    assert config["rootfs"]["diff_ids"] == [layer.digest]
    assert config["config"]["Entrypoint"] == ["/x"]
    assert config["config"]["User"] == "1:1"
    assert image.annotation("org.opencontainers.image.ref.name") == "r.example/x:1"
