"""Everything a conformance run needs besides a platform: the suite, its runner, its images; built once and kept."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from groundplane.bundle.golang import Go, Module, module_folder
from groundplane.bundle.lock import locked
from groundplane.bundle.media import BINARY
from groundplane.bundle.modules import BuildWatch, ModulesSource
from groundplane.bundle.record import PartRecord, Records, base_layer, inputs_digest
from groundplane.bundle.runner import ProcessRunner, Runner
from groundplane.bundle.versions import PartSpec, load_part
from groundplane.events import Emit, reported
from groundplane.oci.files import atomic_file
from groundplane.oci.layout import TITLE, BlobStore, Manifest
from tests.conformance.images import busybox, images, write_layout

KUBERNETES: Final = "1.37.2"
MODULES: Final = Path(__file__).parent / "modules"
_PARTS: Final = ("userland", "e2e", "etcd", "sample-apiserver")


@dataclass(frozen=True, slots=True)
class Kit:
    """``suite`` is e2e.test, ``ginkgo`` what runs it in several processes, ``images`` an OCI layout."""

    suite: Path
    ginkgo: Path
    images: Path


def build(cache: Path, emit: Emit) -> Kit:
    """Build what isn't in ``cache`` yet; BundleError where that fails."""
    blobs, runner = BlobStore(cache), ProcessRunner(lambda: False)
    with locked(cache, emit):
        parts = {name: load_part(MODULES / name) for name in _PARTS}
        records = [_built(part, cache, runner, emit) for part in parts.values()]
        suite = _suite(parts["e2e"], cache, runner, emit)
        programs = {name: path for record in records for name, path in _programs(blobs, record)}
        userland = base_layer(blobs, records[0])
        module = Module("k8s.io/kubernetes", f"v{KUBERNETES}")
        sources = module_folder(Go(runner, parts["e2e"]).toolchain().module_cache, module) / "test" / "images"
        known = frozenset(runner((str(suite), "--list-images"), cwd=cache, env={}).split())
        wanted = images(programs, sources, busybox(blobs.path(userland.digest), runner))
        write_layout(cache, userland, wanted, known)
        return Kit(suite, _runnable(programs["ginkgo"], suite.parent / "ginkgo"), cache)


def _built(part: PartSpec, cache: Path, runner: Runner, emit: Emit) -> PartRecord:
    blobs, memory = BlobStore(cache), Records(cache / "records")
    source = ModulesSource(runner, blobs, emit)
    key = source.key(part, None)
    with reported(emit, part.name, "obtain") as outcome:
        record = memory.get(part, key, blobs)
        outcome.changed = record is None
        if record is None:
            source.prepare(part)
            record = source.provide(part, None)
            memory.put(part, key, record)
    return record


def _programs(blobs: BlobStore, record: PartRecord) -> Sequence[tuple[str, Path]]:
    layers = Manifest.parse(blobs.read(record.part)).layers
    return [
        (blob.annotation(TITLE).lstrip("/"), blobs.path(blob.digest)) for blob in layers if blob.media_type == BINARY
    ]


def _suite(part: PartSpec, cache: Path, runner: Runner, emit: Emit) -> Path:
    """e2e.test: a test program of a package of the module, which ``go build`` doesn't make."""
    target = cache / "suite" / inputs_digest(part).removeprefix("sha256:")[:16] / "e2e.test"
    with reported(emit, "e2e.test", "build") as outcome:
        outcome.changed = not target.is_file()
        if outcome.changed:
            target.parent.mkdir(parents=True, exist_ok=True)
            pending = target.with_suffix(".pending")
            flags = ("-trimpath", "-buildvcs=false", "-ldflags", " ".join(("-s -w", *part.ldflags)))
            runner(
                ("go", "test", "-c", "-v", "-vet=off", *flags, "-o", str(pending), "k8s.io/kubernetes/test/e2e"),
                cwd=part.folder,
                env={"CGO_ENABLED": "0", "GOFLAGS": "-mod=readonly", "GOOS": "linux", "GOWORK": "off"},
                watch=BuildWatch(emit, "e2e.test", "build"),
            )
            pending.replace(target)
    return target


def _runnable(blob: Path, target: Path) -> Path:
    """A copy that may be executed: blobs may not."""
    with atomic_file(target.parent) as pending:
        pending.file.write(blob.read_bytes())
        pending.target = target
    target.chmod(0o755)
    return target
