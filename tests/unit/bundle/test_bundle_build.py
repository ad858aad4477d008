"""Building parts with scripted tools: what go is asked, what is kept, what a second run does."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import pytest
from tests.unit.bundle.fake import FakeRunner, fake_bundle, fake_versions

from groundplane.bundle.debian import parse_status
from groundplane.bundle.effort import told
from groundplane.bundle.golang import Go, Module, module_folder, parse_build_info, program_name
from groundplane.bundle.licences import licence_files, recognised
from groundplane.bundle.modules import BuildWatch, ModulesSource
from groundplane.bundle.obtain import assemble, cached_bundle
from groundplane.bundle.runner import Unwatched
from groundplane.bundle.versions import PartSpec, Versions
from groundplane.errors import BundleError
from groundplane.events import Event, Failed, Finished, Progress, silent
from groundplane.oci.layout import BlobStore

AGENT, SERVER = "example.org/cmd/agent", "example.org/server/v3"


def source(tmp_path: Path, runner: FakeRunner) -> ModulesSource:
    return ModulesSource(runner, BlobStore(tmp_path / "cache"), silent, mirror="mirror", trust=tmp_path)


def built(tmp_path: Path, runner: FakeRunner, versions: Versions | None = None) -> str:
    versions = versions or fake_versions(tmp_path / "data")
    return assemble(versions, [source(tmp_path, runner)], tmp_path / "cache", silent).digest


@pytest.mark.parametrize(
    ("package", "name"),
    [
        ("k8s.io/kubernetes/cmd/kubelet", "kubelet"),
        ("go.etcd.io/etcd/server/v3", "server"),
        ("a/vault", "vault"),
    ],
)
def test_programs_are_named_as_go_names_them(package: str, name: str) -> None:
    assert program_name(package) == name


def test_build_information_names_what_was_really_linked() -> None:
    told = [
        "/bin/x: go1.26",
        "\tpath\texample.org/x",
        "\tmod\texample.org/x\t(devel)\t",
        "\tdep\texample.org/a\tv1.0.0\th1:a=",
        "\tdep\texample.org/b\tv1.0.0",
        "\t=>\texample.org/c\tv2.0.0\th1:c=",
        "\tdep\texample.org/d\tv1.0.0",
        "\t=>\t./standins/d\t(devel)\t",
        "\tbuild\t-trimpath=true",
    ]
    assert list(parse_build_info(told)) == [
        Module("example.org/a", "v1.0.0", "h1:a="),
        Module("example.org/c", "v2.0.0", "h1:c="),
        Module("example.org/d", "standin"),
    ]


def test_the_module_cache_escapes_upper_case() -> None:
    assert module_folder(Path("/c"), Module("github.com/Azure/x", "v1.0.0-RC1")) == Path(
        "/c/github.com/!azure/x@v1.0.0-!r!c1"
    )


@pytest.mark.parametrize(("cgo", "tail"), [(False, "-X a=b"), (True, '-linkmode external -extldflags "-static"')])
def test_go_is_asked_for_a_reproducible_static_build(tmp_path: Path, cgo: bool, tail: str) -> None:
    part = PartSpec("x", "1", "MIT", tmp_path, "go", cgo=cgo, packages=("m/x",), ldflags=("-X a=b",), tags=("netgo",))
    runner = FakeRunner()
    Go(runner, part).build(tmp_path, Unwatched())
    [call] = runner.calls
    flags = call[call.index("-ldflags") + 1]
    assert call[:7] == ("go", "build", "-v", "-trimpath", "-buildvcs=false", "-tags", "netgo")
    assert flags.startswith("-s -w -X a=b")
    assert flags.endswith(tail)


def test_a_failing_build_keeps_the_compilers_words(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match=r"can't build cluster 1\.0") as caught:
        built(tmp_path, FakeRunner(broken=["go build"]))
    assert caught.value.where == "cluster"
    assert caught.value.detail == "as scripted"
    assert caught.value.hint


def test_a_second_run_builds_nothing_and_gives_the_same_bundle(tmp_path: Path) -> None:
    first, second = FakeRunner(), FakeRunner()
    digest = built(tmp_path, first)
    assert first.builds() == [AGENT, SERVER]
    assert built(tmp_path, second) == digest
    assert {call[:2] for call in second.calls} == {("go", "env"), ("gcc", "-dumpfullversion")}


def test_the_same_inputs_give_the_same_digests_elsewhere(tmp_path: Path) -> None:
    assert fake_bundle(tmp_path / "here").digest == fake_bundle(tmp_path / "there").digest


def test_only_what_changed_is_built_again(tmp_path: Path) -> None:
    versions = fake_versions(tmp_path / "data")
    before = built(tmp_path, FakeRunner(), versions)
    (versions.part("pause").folder / "pause.c").write_text("changed")
    again = FakeRunner()
    assert built(tmp_path, again, versions) != before
    assert again.builds() == []
    assert [call[0] for call in again.calls if "-static" in call] == ["gcc"]


def test_another_go_builds_anew(tmp_path: Path) -> None:
    built(tmp_path, FakeRunner())
    newer = FakeRunner(go="go1.100.0")
    built(tmp_path, newer)
    assert newer.builds() == [AGENT, SERVER]


def test_a_stopped_build_goes_on_where_it_stopped(tmp_path: Path) -> None:
    with pytest.raises(BundleError):
        built(tmp_path, FakeRunner(broken=["pause.c"]))
    assert cached_bundle(fake_versions(tmp_path / "data"), tmp_path / "cache") is None
    again = FakeRunner()
    built(tmp_path, again)
    assert again.builds() == []
    assert not any(call[0] == "mmdebstrap" for call in again.calls)


def test_a_lost_blob_is_made_again(tmp_path: Path) -> None:
    versions = fake_versions(tmp_path / "data")
    runner = FakeRunner()
    bundle = assemble(versions, [source(tmp_path, runner)], tmp_path / "cache", silent)
    assert cached_bundle(versions, tmp_path / "cache") == bundle
    for store in (bundle.blobs, BlobStore(tmp_path / "cache")):
        store.path(bundle.binaries[0].digest).unlink()
    assert cached_bundle(versions, tmp_path / "cache") is None
    assert built(tmp_path, runner, versions) == bundle.digest
    assert bundle.verify() == ()


def test_every_part_reports_itself(tmp_path: Path) -> None:
    events: list[Event] = []
    versions = fake_versions(tmp_path / "data")
    broken = source(tmp_path, FakeRunner(broken=["pause.c"]))
    with pytest.raises(BundleError):
        assemble(versions, [broken], tmp_path / "cache", events.append)
    assert [(type(one), one.subject) for one in events if isinstance(one, Finished | Failed)] == [
        (Finished, "base"),
        (Finished, "cluster"),
        (Failed, "pause"),
    ]


@pytest.mark.parametrize(
    ("missing", "processors", "said"),
    [
        ([], 2, ""),
        ([("pause", "modules")], 2, ""),
        (
            [("kubernetes", "modules"), ("pause", "modules")],
            2,
            "2 parts are built here from Go modules: about 8 minutes on 2",
        ),
        ([("kubernetes", "modules")], 1, "one part is built here from Go modules: about 15 minutes on 1 processor,"),
        (
            [("kubernetes", "modules"), ("etcd", "release")],
            2,
            "one part is built here from Go modules, 1 come from the release",
        ),
        ([(name, "release") for name in ("kubernetes", "etcd", "coredns")], 2, "3 parts are downloaded"),
        ([("kubernetes", "file")], 2, ""),
    ],
)
def test_it_is_said_beforehand_how_long_it_will_take(
    missing: Sequence[tuple[str, str]], processors: int, said: str
) -> None:
    found = told(missing, processors)
    assert found.startswith(said)
    assert bool(found) == bool(said)


def test_what_is_in_the_cache_is_not_announced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    announced: list[Sequence[tuple[str, str]]] = []

    def note(missing: Sequence[tuple[str, str]]) -> str:
        announced.append(missing)
        return ""

    monkeypatch.setattr("groundplane.bundle.effort.told", note)
    versions = fake_versions(tmp_path / "data")
    built(tmp_path, FakeRunner(), versions)
    (versions.part("pause").folder / "pause.c").write_text("changed")
    built(tmp_path, FakeRunner(), versions)
    names = [part.name for part in versions.parts]
    assert [[name for name, _ in missing] for missing in announced] == [names, ["pause"]]


def test_progress_counts_packages_and_never_passes_the_total() -> None:
    events: list[Event] = []
    watch = BuildWatch(events.append, "x", "build", total=1)
    watch.line("a")
    watch.line("b")
    assert events == [Progress("x", "build", note="a", done=1, total=1)]
    assert watch.done == 2


def test_a_part_lists_its_components_and_licences(tmp_path: Path) -> None:
    versions = fake_versions(tmp_path / "data")
    module = versions.part("cluster").folder / "cache" / "example.org" / "!lib@v1.2.3"
    module.mkdir(parents=True)
    (module / "LICENSE").write_text("Apache License\n   Version 2.0, January 2004")
    bundle = assemble(versions, [source(tmp_path, FakeRunner())], tmp_path / "cache", silent)
    bill = json.loads(bundle.sbom())
    parts = {part["name"]: part for part in bill["components"]}
    assert list(parts) == ["base", "cluster", "pause"]
    assert [(one["purl"], one.get("licenses")) for one in parts["cluster"]["components"]] == [
        ("pkg:golang/std@1.99.0", [{"expression": "BSD-3-Clause"}]),
        ("pkg:golang/example.org/Lib@v1.2.3", [{"expression": "Apache-2.0"}]),
    ]
    assert [one["purl"] for one in parts["base"]["components"]] == ["pkg:deb/debian/nft@1-2?arch=amd64&distro=debian"]
    assert bundle.licences("cluster") is not None
    assert bundle.licences("pause") is None


def test_licences_are_told_by_their_words(tmp_path: Path) -> None:
    assert recognised(["Permission is hereby granted,\n free of charge"]) == "MIT"
    assert recognised(["nothing known"]) == ""
    assert recognised(["Mozilla Public License, version 2.0", "Apache License Version 2.0"]) == "Apache-2.0 AND MPL-2.0"
    for name in ("LICENSE", "COPYING.md", "NOTICE", "licences.go", "main.go"):
        (tmp_path / name).touch()
    assert [path.name for path in licence_files(tmp_path)] == ["COPYING.md", "LICENSE", "NOTICE"]
    assert licence_files(tmp_path / "absent") == ()


def test_dpkg_status_with_continued_fields() -> None:
    text = "Package: a\nArchitecture: all\nVersion: 1:2-3\nDescription: x\n more: words\n\nPackage: b\n"
    text += "Version: 4\nArchitecture: amd64\n"
    assert [(one.name, one.version) for one in parse_status(text)] == [("a", "1:2-3"), ("b", "4")]
