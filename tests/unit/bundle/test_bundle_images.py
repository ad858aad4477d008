"""The user's own images: taken whole and checked, remembered, and served beside the bundle's."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.unit.bundle.fake import fake_bundle

from groundplane.bundle.bundle import Bundle
from groundplane.bundle.images import images_of, take_images
from groundplane.bundle.trees import registry_tree
from groundplane.errors import BundleError
from groundplane.oci.files import write_atomically
from groundplane.oci.layer import Entry, add_image, add_layer
from groundplane.oci.layout import CONTAINERD_NAME, INDEX, REFERENCE, BlobStore, Descriptor, Manifest, canonical

NAME = "registry.example.org/team/program:1.0"


@pytest.fixture
def bundle(tmp_path: Path) -> Bundle:
    return fake_bundle(tmp_path)


@pytest.fixture
def layout(tmp_path: Path) -> Path:
    return a_layout(tmp_path / "layout", NAME)


def a_layout(folder: Path, reference: str, content: bytes = b"program") -> Path:
    return write_index(folder, an_image(folder, reference, content))


def an_image(folder: Path, reference: str, content: bytes = b"program", architecture: str = "amd64") -> Descriptor:
    blobs = BlobStore(folder)
    layer = add_layer(blobs, [Entry("/program", content, 0o755)])
    return add_image(blobs, reference, [layer], architecture=architecture, command=("/program",))


def write_index(folder: Path, *images: Descriptor) -> Path:
    content = canonical({"schemaVersion": 2, "manifests": [image.to_json() for image in images]})
    write_atomically(folder / "index.json", content)
    return folder


def several(folder: Path, *, with_arm: bool) -> Descriptor:
    """An image for two architectures; the second one's blobs may have been left behind, as some tools do."""
    amd = an_image(folder, "", architecture="amd64")
    arm = an_image(folder if with_arm else folder / "elsewhere", "", b"other", architecture="arm64")
    index = {"schemaVersion": 2, "mediaType": INDEX, "manifests": [amd.to_json(), arm.to_json()]}
    return BlobStore(folder).add_json(index, INDEX).annotated({REFERENCE: NAME})


def served(tree: Path, name: str) -> list[str]:
    """The digests a registry would answer for, of a repository."""
    revisions = tree / "docker/registry/v2/repositories" / name / "_manifests/revisions/sha256"
    for revision in revisions.iterdir():
        assert (revision / "link").read_text() == f"sha256:{revision.name}"
        assert (tree / "docker/registry/v2/blobs/sha256" / revision.name[:2] / revision.name / "data").is_file()
    return sorted(path.name for path in revisions.iterdir())


def test_an_own_image_is_served_beside_the_bundles(bundle: Bundle, layout: Path) -> None:
    index = take_images([layout], bundle.path.parent)
    tree = registry_tree(bundle, own=images_of(index))
    repositories = tree / "docker/registry/v2/repositories"
    tags = {path.parents[1].relative_to(repositories).as_posix() for path in repositories.rglob("_manifests/tags")}
    assert "registry.example.org/team/program" in tags
    assert {image.reference.rpartition(":")[0] for image in bundle.images} < tags
    assert len(served(tree, "registry.example.org/team/program")) == 1


def test_taking_the_same_again_gives_the_same(bundle: Bundle, layout: Path) -> None:
    cache = bundle.path.parent
    index = take_images([layout], cache)
    assert take_images([layout], cache, known=index) == index
    tree = registry_tree(bundle, own=images_of(index))
    before = tree.stat().st_ino
    assert registry_tree(bundle, own=images_of(index)).stat().st_ino == before


def test_what_was_known_stays_and_the_same_name_is_replaced(tmp_path: Path, layout: Path) -> None:
    cache = tmp_path / "cache"
    other = a_layout(tmp_path / "other", "registry.example.org/other:2")
    newer = a_layout(tmp_path / "newer", NAME, b"newer")
    index = take_images([newer], cache, known=take_images([layout, other], cache))
    found = {image.annotation(REFERENCE): image.digest for image in images_of(index)}
    assert list(found) == ["registry.example.org/other:2", NAME]
    assert found[NAME] == images_of(take_images([newer], cache))[0].digest


def test_nothing_remembered_is_no_image() -> None:
    assert images_of(b"") == ()


@pytest.mark.parametrize(("with_arm", "manifests"), [(True, 3), (False, 2)])
def test_an_image_for_several_architectures_keeps_those_that_are_there(
    bundle: Bundle, tmp_path: Path, with_arm: bool, manifests: int
) -> None:
    folder = write_index(tmp_path / "many", several(tmp_path / "many", with_arm=with_arm))
    tree = registry_tree(bundle, own=images_of(take_images([folder], bundle.path.parent)))
    assert len(served(tree, "registry.example.org/team/program")) == manifests


def test_exports_of_containerd_and_docker_are_named_by_its_annotation(tmp_path: Path) -> None:
    image = an_image(tmp_path / "layout", NAME).annotated({CONTAINERD_NAME: NAME, REFERENCE: "1.0"})
    (taken,) = images_of(take_images([write_index(tmp_path / "layout", image)], tmp_path / "cache"))
    assert taken.annotation(REFERENCE) == NAME


@pytest.mark.parametrize(
    "name",
    [
        "program:1.0",
        "latest",
        "registry.example.org/program",
        "registry.example.org/../../etc:1.0",
        "registry.example.org/program:../1.0",
        "registry.example.org//program:1.0",
        "../registry.example.org/program:1.0",
        "registry.example.org:5000/program:1.0",
        "registry.example.org/Program:1.0",
    ],
)
def test_only_full_names_are_taken(tmp_path: Path, name: str) -> None:
    with pytest.raises(BundleError, match="not a full image name"):
        take_images([a_layout(tmp_path / "layout", name)], tmp_path / "cache")


def test_a_folder_without_a_layout_is_told(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="no OCI image layout"):
        take_images([tmp_path], tmp_path / "cache")


def test_a_layout_without_named_images_is_told(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="names no image"):
        take_images([write_index(tmp_path / "layout")], tmp_path / "cache")


def test_damaged_and_missing_blobs_are_refused(tmp_path: Path, layout: Path) -> None:
    blobs = BlobStore(layout)
    image = an_image(layout, NAME)
    layer = blobs.path(Manifest.parse(blobs.read(image)).layers[0].digest)
    layer.write_bytes(b"x" * layer.stat().st_size)
    with pytest.raises(BundleError, match="was asked for"):
        take_images([layout], tmp_path / "cache")
    layer.unlink()
    with pytest.raises(BundleError, match="can't be read"):
        take_images([layout], tmp_path / "cache")


def test_the_platforms_own_images_cannot_be_replaced(bundle: Bundle, tmp_path: Path) -> None:
    index = take_images([a_layout(tmp_path / "evil", "registry.k8s.io/pause:1")], bundle.path.parent)
    with pytest.raises(BundleError, match=r"another registry\.k8s\.io/pause:1"):
        registry_tree(bundle, own=images_of(index))


def test_links_are_laid_into_layers(tmp_path: Path) -> None:
    import tarfile

    blobs = BlobStore(tmp_path)
    layer = add_layer(blobs, [Entry("/bin/sh", None, link="busybox")])
    with tarfile.open(blobs.path(layer.digest)) as tar:
        member = tar.getmember("bin/sh")
    assert member.issym()
    assert member.linkname == "busybox"
