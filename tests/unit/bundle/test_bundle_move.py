"""A finished bundle: verifying, moving, and the trees machines get from it."""

from __future__ import annotations

import io
import os
import shutil
import tarfile
from collections.abc import Callable
from pathlib import Path
from threading import Event

import pytest
from tests.unit.bundle.fake import FakeRunner, fake_bundle, fake_versions

from groundplane.bundle.archive import FileSource, export_bundle, import_bundle
from groundplane.bundle.bundle import Bundle, Damage, open_bundle
from groundplane.bundle.lock import locked
from groundplane.bundle.names import checked_program
from groundplane.bundle.obtain import assemble, in_order, obtain
from groundplane.bundle.release import ReleaseSource
from groundplane.bundle.sources import OFFICIAL, SourceName
from groundplane.bundle.trees import registry_tree, software_tree
from groundplane.bundle.versions import Versions
from groundplane.errors import BundleError, Interrupted
from groundplane.events import silent
from groundplane.oci.files import write_atomically
from groundplane.oci.layout import BlobStore


@pytest.fixture
def bundle(tmp_path: Path) -> Bundle:
    return fake_bundle(tmp_path)


def test_the_listing(bundle: Bundle) -> None:
    assert bundle.version == "1.37.2"
    assert [(part.name, part.version, part.source) for part in bundle.parts] == [
        ("base", "13", "modules"),
        ("cluster", "1.0", "modules"),
        ("pause", "1", "modules"),
    ]
    assert [image.reference for image in bundle.images] == [
        "registry.k8s.io/proxy:v1",
        "registry.k8s.io/server:v1",
        "registry.k8s.io/pause:1",
    ]
    assert [(one.path, one.version, one.licence) for one in bundle.binaries] == [
        ("/usr/local/bin/agent", "1.0", "Apache-2.0")
    ]
    assert bundle.image("registry.k8s.io/pause:1").part == "pause"
    with pytest.raises(BundleError, match="no image"):
        bundle.image("registry.k8s.io/other:1")
    assert bundle.size < sum(part.size for part in bundle.parts), "the shared base counts once"


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1])


def scribble(path: Path) -> None:
    path.write_bytes(b"\0" * path.stat().st_size)


@pytest.mark.parametrize(("harm", "kind"), [(truncate, "truncated"), (scribble, "corrupt"), (Path.unlink, "missing")])
def test_verify_names_each_damaged_blob_and_its_part(bundle: Bundle, harm: Callable[[Path], None], kind: str) -> None:
    assert bundle.verify() == ()
    digest = bundle.binaries[0].digest
    harm(bundle.blobs.path(digest))
    [damage] = bundle.verify()
    assert (damage.digest, damage.kind, damage.parts) == (digest, kind, ("cluster",))
    bundle.discard((damage,))
    assert not bundle.blobs.path(digest).exists()


def test_a_damaged_manifest_is_named_too(bundle: Bundle) -> None:
    scribble(bundle.blobs.path(bundle.parts[2].digest))
    assert Damage(bundle.parts[2].digest, "corrupt", ("pause",)) in bundle.verify()


def test_export_and_import_give_the_same_bundle(bundle: Bundle, tmp_path: Path) -> None:
    first, second = tmp_path / "first.tar", tmp_path / "second.tar"
    export_bundle(bundle, first)
    imported = import_bundle(first, tmp_path / "elsewhere")
    assert imported.digest == bundle.digest
    assert imported.verify() == ()
    export_bundle(imported, second)
    assert first.read_bytes() == second.read_bytes()


def test_the_file_source_gives_the_same_bundle(bundle: Bundle, tmp_path: Path) -> None:
    file, cache = tmp_path / "bundle.tar", tmp_path / "elsewhere"
    export_bundle(bundle, file)
    source = FileSource(file, BlobStore(cache), silent)
    again = assemble(fake_versions(tmp_path / "data"), [source], cache, silent)
    assert again.digest == bundle.digest


def without(bundle: Bundle, part: str, folder: Path) -> FileSource:
    """The bundle's file, but that it lacks one part."""
    folder.mkdir()
    export_bundle(bundle, folder / "bundle.tar")
    blobs = BlobStore(folder / "cache")
    source = FileSource(folder / "bundle.tar", blobs, silent)
    del source._contents.records[part]
    return source


def test_a_file_without_a_base_that_nobody_builds_on_is_enough(bundle: Bundle, tmp_path: Path) -> None:
    source = without(bundle, "base", tmp_path / "lean")
    again = assemble(fake_versions(tmp_path / "data"), [source], tmp_path / "lean" / "cache", silent)
    assert [part.name for part in again.parts] == ["cluster", "pause"]


def test_a_whole_file_leaves_nobody_to_ask(bundle: Bundle, tmp_path: Path) -> None:
    """The network is banned here: asking the releases would fail."""
    export_bundle(bundle, tmp_path / "bundle.tar")
    assert asked("auto", bundle, tmp_path / "bundle.tar", tmp_path) == ["file"]


@pytest.mark.parametrize(("answers", "order"), [(True, ["file", "release", "modules"]), (False, ["file", "modules"])])
def test_what_a_file_lacks_comes_from_the_releases_then_from_modules(
    bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, answers: bool, order: list[str]
) -> None:
    monkeypatch.setattr(ReleaseSource, "reachable", lambda self, part: answers)
    monkeypatch.setattr(FileSource, "offers", lambda self, part: part.name != "pause")
    monkeypatch.setattr(Versions, "part", lambda self, name: self.parts[0])  # the small bundle has no `kubernetes`
    export_bundle(bundle, tmp_path / "bundle.tar")
    assert asked("auto", bundle, tmp_path / "bundle.tar", tmp_path) == order
    assert asked("file", bundle, tmp_path / "bundle.tar", tmp_path) == ["file"]
    assert asked("auto", bundle, None, tmp_path) == order[1:]
    assert asked("modules", bundle, None, tmp_path) == ["modules"]


def asked(name: SourceName, bundle: Bundle, file: Path | None, folder: Path) -> list[str]:
    """The names of the sources asked for the small bundle's parts."""
    versions = fake_versions(folder / name)
    sources = in_order(name, file, OFFICIAL, versions, FakeRunner(), BlobStore(folder / "other"), silent)
    return [source.name for source in sources]


def test_a_file_of_another_version_is_told_before_anything_is_built(bundle: Bundle, tmp_path: Path) -> None:
    file = tmp_path / "bundle.tar"
    export_bundle(bundle, file)
    with pytest.raises(BundleError, match=r"holds Kubernetes 1\.37\.2, not 1\.36\.3"):
        obtain("1.36.3", cache=tmp_path / "elsewhere", file=file, runner=FakeRunner())


def test_an_incomplete_bundle_is_not_exported(bundle: Bundle, tmp_path: Path) -> None:
    bundle.blobs.path(bundle.binaries[0].digest).unlink()
    with pytest.raises(BundleError, match="missing or short"):
        export_bundle(bundle, tmp_path / "bundle.tar")
    assert not (tmp_path / "bundle.tar").exists()


def hostile(**fields: object) -> tarfile.TarInfo:
    info = tarfile.TarInfo(str(fields.pop("name", "blobs/sha256/" + "0" * 64)))
    for name, value in fields.items():
        setattr(info, name, value)
    return info


@pytest.mark.parametrize(
    "member",
    [
        hostile(name="../outside"),
        hostile(name="/etc/passwd"),
        hostile(name="blobs/sha256/../../x"),
        hostile(name="blobs/sha256/short"),
        hostile(type=tarfile.SYMTYPE, linkname="/etc/passwd"),
        hostile(type=tarfile.LNKTYPE, linkname="index.json"),
        hostile(type=tarfile.CHRTYPE),
        hostile(name="index.json", type=tarfile.SYMTYPE, linkname="/etc/passwd"),
        hostile(name="elsewhere", type=tarfile.DIRTYPE),
    ],
)
def test_hostile_members_are_refused(tmp_path: Path, member: tarfile.TarInfo) -> None:
    file = tmp_path / "bad.tar"
    with tarfile.open(file, "w") as tar:
        tar.addfile(member)
    with pytest.raises(BundleError, match="not a bundle file"):
        import_bundle(file, tmp_path / "cache")


def test_a_blob_under_a_wrong_name_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "bad.tar"
    with tarfile.open(file, "w") as tar:
        tar.addfile(hostile(size=3), io.BytesIO(b"abc"))
    with pytest.raises(BundleError, match="was asked for"):
        import_bundle(file, tmp_path / "cache")
    assert not list((tmp_path / "cache" / "blobs" / "sha256").iterdir())


def test_an_absurd_size_is_refused_before_it_is_written(tmp_path: Path) -> None:
    file = tmp_path / "bad.tar"
    info = hostile(size=9 << 30)
    file.write_bytes(info.tobuf() + b"\0" * 1024)
    with pytest.raises(BundleError, match="not a bundle file"):
        import_bundle(file, tmp_path / "cache")


@pytest.mark.parametrize("content", [b"", b"not a tar at all", b"\x1f\x8b\x08\x00"])
def test_other_files_are_refused(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "bad.tar"
    file.write_bytes(content)
    with pytest.raises(BundleError):
        import_bundle(file, tmp_path / "cache")


def test_a_cut_bundle_file_is_refused(bundle: Bundle, tmp_path: Path) -> None:
    file = tmp_path / "bundle.tar"
    export_bundle(bundle, file)
    os.truncate(file, file.stat().st_size // 2)
    with pytest.raises(BundleError):
        import_bundle(file, tmp_path / "elsewhere")


def test_a_file_that_lacks_a_blob_is_refused(bundle: Bundle, tmp_path: Path) -> None:
    whole, lacking = tmp_path / "bundle.tar", tmp_path / "lacking.tar"
    export_bundle(bundle, whole)
    with tarfile.open(whole) as source, tarfile.open(lacking, "w") as target:
        for member in source:
            if not member.name.endswith(bundle.binaries[0].digest[7:]):
                target.addfile(member, source.extractfile(member))
    with pytest.raises(BundleError, match="incomplete"):
        import_bundle(lacking, tmp_path / "elsewhere")


def paths(tree: Path) -> list[str]:
    return sorted(path.relative_to(tree).as_posix() for path in tree.rglob("*") if path.is_file())


def test_the_software_tree(bundle: Bundle) -> None:
    tree = software_tree(bundle)
    agent = tree / "usr/local/bin/agent"
    assert paths(tree) == ["usr/local/bin/agent"]
    assert agent.stat().st_mode & 0o777 == 0o755
    assert tree.stat().st_mode & 0o777 == 0o755
    inode = tree.stat().st_ino
    assert software_tree(bundle).stat().st_ino == inode, "what's there and whole isn't made again"
    agent.unlink()
    assert paths(software_tree(bundle)) == ["usr/local/bin/agent"]


def test_a_tree_made_of_replaced_blobs_is_made_again(bundle: Bundle) -> None:
    tree = software_tree(bundle)
    blob = bundle.blobs.path(bundle.binaries[0].digest)
    content = blob.read_bytes()
    scribble(tree / "usr/local/bin/agent")  # the same inode as the blob
    bundle.discard(bundle.verify())
    blob.write_bytes(content)
    assert (software_tree(bundle) / "usr/local/bin/agent").read_bytes() == content


def test_a_tree_that_machines_may_stand_on_is_mended_where_it_is(bundle: Bundle) -> None:
    software, registry = software_tree(bundle), registry_tree(bundle)
    before = software.stat().st_ino, registry.stat().st_ino
    shutil.copy(agent := software / "usr/local/bin/agent", fresh := agent.with_name("fresh"))
    fresh.replace(agent)  # the same bytes in another file
    link = next(registry.rglob("tags/1/current/link"))
    link.write_text("sha256:" + "0" * 64)
    assert (software_tree(bundle).stat().st_ino, registry_tree(bundle).stat().st_ino) == before
    assert agent.samefile(bundle.blobs.path(bundle.binaries[0].digest))
    assert link.read_text() == bundle.image("registry.k8s.io/pause:1").digest


def test_reading_the_same_file_again_leaves_the_trees_alone(bundle: Bundle, tmp_path: Path) -> None:
    file, cache = tmp_path / "bundle.tar", tmp_path / "elsewhere"
    export_bundle(bundle, file)
    agent = software_tree(import_bundle(file, cache)) / "usr/local/bin/agent"
    inode = agent.stat().st_ino
    software_tree(import_bundle(file, cache))
    assert agent.stat().st_ino == inode


@pytest.mark.parametrize("path", ["usr/bin/x", "/usr/../../x", "/", ""])
def test_only_places_below_the_root_hold_programs(path: str) -> None:
    with pytest.raises(BundleError, match="no place for a program"):
        checked_program(path, "here")


@pytest.mark.parametrize("reference", ["../../x:1", "registry.k8s.io/pause", "pause:1", "registry.k8s.io/../x:1"])
def test_a_layout_with_a_hostile_reference_is_refused(bundle: Bundle, reference: str) -> None:
    index = bundle.path / "index.json"
    text = index.read_text().replace("registry.k8s.io/pause:1", reference)
    write_atomically(index, text.encode())
    with pytest.raises(BundleError, match="not a full image name"):
        open_bundle(bundle.path)


def test_waiting_for_another_builder_ends_when_told(tmp_path: Path) -> None:
    cancel = Event()
    with locked(tmp_path, silent):
        cancel.set()
        with pytest.raises(Interrupted), locked(tmp_path, silent, cancel):
            raise AssertionError("two at once")


def test_the_registry_tree_is_what_a_distribution_registry_reads(bundle: Bundle, tmp_path: Path) -> None:
    tree = registry_tree(bundle, tmp_path / "registry")
    root = "docker/registry/v2"
    image = bundle.image("registry.k8s.io/pause:1")
    name = image.digest.removeprefix("sha256:")
    repository = f"{root}/repositories/registry.k8s.io/pause"
    files = paths(tree)
    blobs = [path for path in files if path.startswith(f"{root}/blobs/")]
    mine = [path.removeprefix(f"{repository}/") for path in files if path.startswith(f"{repository}/")]
    layers = [path for path in mine if path.startswith("_layers/sha256/") and path.endswith("/link")]
    assert f"{root}/blobs/sha256/{name[:2]}/{name}/data" in blobs
    assert len(layers) == 2
    assert sorted(set(mine) - set(layers)) == [
        f"_manifests/revisions/sha256/{name}/link",
        "_manifests/tags/1/current/link",
        f"_manifests/tags/1/index/sha256/{name}/link",
    ]
    assert (tree / repository / "_manifests/tags/1/current/link").read_text() == image.digest
    assert all((tree / blob).stat().st_nlink > 1 for blob in blobs)


def test_other_folders_are_no_bundles(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="no bundle here"):
        open_bundle(tmp_path)
    (tmp_path / "index.json").write_text('{"manifests":[]}')
    with pytest.raises(BundleError, match="not a groundplane bundle"):
        open_bundle(tmp_path)
