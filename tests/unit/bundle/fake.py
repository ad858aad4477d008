"""A scripted stand-in for the build tools, and a small bundle made with it: for tests of this room and others."""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from groundplane.bundle.bundle import Bundle
from groundplane.bundle.golang import program_name
from groundplane.bundle.modules import ModulesSource
from groundplane.bundle.obtain import assemble
from groundplane.bundle.runner import Watcher
from groundplane.bundle.versions import BinarySpec, ImageSpec, PartSpec, Versions
from groundplane.errors import BundleError
from groundplane.events import silent
from groundplane.oci.layout import BlobStore
from groundplane.software import Software

_SOFTWARE = Software(
    kubernetes="1.37.2",
    image_repository="registry.k8s.io",
    etcd_tag="1-0",
    coredns_repository="registry.k8s.io/coredns",
    coredns_tag="v1",
    pause_image="registry.k8s.io/pause:1",
    flannel_image="ghcr.io/flannel-io/flannel:v1",
    probe_image="groundplane.local/probe:2",
)


class FakeRunner:
    """Plays go, gcc and mmdebstrap: every build leaves small files that depend on its arguments alone.

    ``calls`` are the commands run so far. A command that holds a word of ``broken`` fails.
    """

    def __init__(self, *, go: str = "go1.99.0", broken: Sequence[str] = ()) -> None:
        self.go = go
        self.broken = list(broken)
        self.calls: list[tuple[str, ...]] = []

    def __call__(self, argv: Sequence[str], *, cwd: Path, env: Mapping[str, str], watch: Watcher | None = None) -> str:
        self.calls.append(tuple(argv))
        if any(word in " ".join(argv) for word in self.broken):
            raise BundleError(f"{argv[0]} ended with status 1", detail="as scripted")
        if watch is not None:
            watch.line("some/package")
        match argv[:2]:
            case ["go", "env"]:
                return json.dumps({"GOVERSION": self.go, "GOARCH": "amd64", "GOMODCACHE": str(cwd / "cache")})
            case ["go", "list"]:
                return "fmt\nsome/package\n"
            case ["go", "build"]:
                self._go_build(argv)
            case ["go", "version"]:
                return f"{argv[-1]}: {self.go}\n\tpath\tx\n\tdep\texample.org/Lib\tv1.2.3\th1:abc=\n"
            case ["gcc", "-dumpfullversion"]:
                return "99.1.0\n"
            case ["gcc", _]:
                Path(argv[argv.index("-o") + 1]).write_text(f"{argv[-1]}")
            case ["mmdebstrap", _]:
                _write_root_tree(next(Path(word) for word in argv if word.endswith(".tar")))
        return ""

    def builds(self) -> list[str]:
        """The main packages built so far, in order."""
        return [word for call in self.calls if call[:2] == ("go", "build") for word in _packages(call)]

    def _go_build(self, argv: Sequence[str]) -> None:
        for package in _packages(argv):
            flags = argv[argv.index("-ldflags") + 1]
            path = Path(argv[argv.index("-o") + 1]) / program_name(package)
            path.write_text(f"{package} by {self.go} with {flags}")


def fake_versions(folder: Path) -> Versions:
    """Data of a small platform: a base, a Go part with a program and two images, a C part with one image."""
    cluster = PartSpec(
        name="cluster",
        version="1.0",
        licence="Apache-2.0",
        folder=_folder(folder, "cluster", "go.mod"),
        builder="go",
        packages=("example.org/cmd/agent", "example.org/server/v3"),
        ldflags=("-X example.org/version=1.0",),
        binaries=(BinarySpec("agent", "/usr/local/bin/agent"),),
        images=(
            ImageSpec("registry.k8s.io/proxy:v1", (("/usr/local/bin/proxy", "agent"),), base="base"),
            ImageSpec("registry.k8s.io/server:v1", (("/usr/local/bin/server", "server"),)),
        ),
    )
    base = PartSpec(
        "base",
        "13",
        "GPL-2.0-or-later",
        _folder(folder, "base", "list"),
        "debian",
        suite="x",
        include=("nft",),
    )
    pause = PartSpec(
        name="pause",
        version="1",
        licence="Apache-2.0",
        folder=_folder(folder, "pause", "pause.c"),
        builder="c",
        images=(ImageSpec("registry.k8s.io/pause:1", (("/pause", "pause"),), entrypoint=("/pause",)),),
    )
    return Versions(_SOFTWARE, (base, cluster, pause))


def fake_bundle(folder: Path) -> Bundle:
    """A finished small bundle below ``folder``: one program, three images; no tool of this machine is used."""
    source = ModulesSource(FakeRunner(), BlobStore(folder / "cache"), silent, mirror="mirror", trust=folder)
    return assemble(fake_versions(folder / "data"), [source], folder / "cache", silent)


def _packages(argv: Sequence[str]) -> Sequence[str]:
    return argv[argv.index("-o") + 2 :]


def _folder(root: Path, part: str, file: str) -> Path:
    folder = root / part
    folder.mkdir(parents=True, exist_ok=True)
    (folder / file).write_text(f"{part}\n")
    return folder


def _write_root_tree(path: Path) -> None:
    status = b"Package: nft\nStatus: install ok installed\nArchitecture: amd64\nVersion: 1-2\n"
    with tarfile.open(path, "w") as tar:
        info = tarfile.TarInfo("./var/lib/dpkg/status")
        info.size = len(status)
        tar.addfile(info, io.BytesIO(status))
