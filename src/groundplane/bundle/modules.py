"""The ``modules`` source: everything is built here, from published Go modules and a few files of our own."""

from __future__ import annotations

import platform
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from time import monotonic
from typing import Final

from groundplane.bundle.debian import build_layer, packages
from groundplane.bundle.golang import Go, Module, Toolchain, module_folder
from groundplane.bundle.licences import licence_entries, licence_files, recognised
from groundplane.bundle.record import PartRecord, SbomComponent, base_layer, inputs_digest, pack
from groundplane.bundle.runner import Runner
from groundplane.bundle.versions import ImageSpec, PartSpec
from groundplane.errors import BundleError
from groundplane.events import Emit, Progress
from groundplane.oci.files import sha256
from groundplane.oci.layer import SCRATCH, Entry, add_image, add_layer
from groundplane.oci.layout import LAYER, BlobStore, Descriptor, canonical

DOWNLOAD: Final = "download"
_EVERY: Final = 1.5  # seconds between two Progress events at most
_ARCHITECTURES: Final[Mapping[str, str]] = {"x86_64": "amd64", "aarch64": "arm64"}


def host_architecture() -> str:
    """This machine's architecture as Go and OCI call it."""
    return _ARCHITECTURES.get(platform.machine(), platform.machine())


@dataclass(slots=True)
class BuildWatch:
    """Turns a build's lines (one package each) into Progress events, at least every two seconds."""

    emit: Emit
    part: str
    step: str
    total: int = 0
    done: int = 0
    _note: str = ""
    _told: float = 0.0

    def line(self, text: str) -> None:
        """One more package is being compiled, or module fetched."""
        self.done += 1
        self._note = text
        self.tick()

    def tick(self) -> None:
        """Tell, unless that was just done."""
        if monotonic() - self._told >= _EVERY:
            self._told = monotonic()
            done = min(self.done, self.total) if self.total else 0
            self.emit(Progress(self.part, self.step, note=self._note, done=done, total=self.total))


class ModulesSource:
    """Builds parts. Needs ``go`` on PATH, gcc for two parts, and mmdebstrap for the images' base."""

    name: Final = "modules"

    def __init__(
        self, runner: Runner, blobs: BlobStore, emit: Emit, *, mirror: str = "", trust: Path | None = None
    ) -> None:
        """``mirror`` replaces this machine's own Debian mirror, ``trust`` its archive keyring."""
        self._runner = runner
        self._blobs = blobs
        self._emit = emit
        self._mirror = mirror
        self._trust = trust
        self._packages: dict[str, int] = {}

    def offers(self, part: PartSpec) -> bool:
        """Every part can be built."""
        return True

    def base_for(self, part: PartSpec) -> str:
        """As the part's data says."""
        return part.base

    def key(self, part: PartSpec, base: PartRecord | None) -> str:
        """What decides the part's bytes: its inputs, the tools, and the layer below its images."""
        about = {
            "architecture": host_architecture(),
            "base": base.part.digest if base else "",
            "inputs": inputs_digest(part),
            "source": self.name,
            "tools": self._tools(part),
        }
        return sha256(canonical(about))

    def prepare(self, part: PartSpec) -> None:
        """Fetch what building the part needs; may run beside another part's build."""
        if part.builder == "go":
            watch = BuildWatch(self._emit, part.name, DOWNLOAD)
            self._packages[part.name] = Go(self._runner, part).download(watch)

    def provide(self, part: PartSpec, base: PartRecord | None) -> PartRecord:
        """Build one part and store it."""
        scratch = self._blobs.root / "build"
        scratch.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=scratch, prefix=f"{part.name}-") as name:
            out = Path(name)
            watch = BuildWatch(self._emit, part.name, "build", total=self._packages.get(part.name, 0))
            match part.builder:
                case "go":
                    return self._go(part, base, out, watch)
                case "c":
                    return self._c(part, out, watch)
                case "debian":
                    return self._debian(part, out, watch)

    def _tools(self, part: PartSpec) -> str:
        compiler = self._compiler(part) if part.cgo or part.builder == "c" else ""
        return f"{Go(self._runner, part).toolchain().version} {compiler}" if part.builder == "go" else compiler

    def _compiler(self, part: PartSpec) -> str:
        return self._runner(("gcc", "-dumpfullversion"), cwd=part.folder, env={}).strip()

    def _go(self, part: PartSpec, base: PartRecord | None, out: Path, watch: BuildWatch) -> PartRecord:
        go = Go(self._runner, part)
        outputs = go.build(out, watch)
        modules = sorted({module for path in outputs.values() for module in go.modules(path)}, key=_by_path)
        components, licences = _inventory(go.toolchain(), modules)
        return pack(
            self._blobs,
            part,
            source=self.name,
            outputs=outputs,
            images=[self._image(image, outputs, base) for image in part.images],
            components=components,
            licences=licences,
        )

    def _c(self, part: PartSpec, out: Path, watch: BuildWatch) -> PartRecord:
        program = out / part.name
        source = f"{part.name}.c"
        argv = ("gcc", "-static", "-Os", "-s", "-Wall", "-Werror", "-Wl,--build-id=none", "-o", str(program))
        self._runner((*argv, source), cwd=part.folder, env={}, watch=watch)
        outputs = {part.name: program}
        images = [self._image(image, outputs, None) for image in part.images]
        return pack(self._blobs, part, source=self.name, outputs=outputs, images=images)

    def _debian(self, part: PartSpec, out: Path, watch: BuildWatch) -> PartRecord:
        tar = build_layer(self._runner, part, out, mirror=self._mirror, trust=self._trust, watch=watch)
        layer = self._blobs.add_file(tar, LAYER)
        return pack(self._blobs, part, source=self.name, outputs={}, base=layer, components=packages(tar))

    def _image(self, image: ImageSpec, outputs: Mapping[str, Path], base: PartRecord | None) -> Descriptor:
        if image.base and base is None:
            raise BundleError(f"{image.reference} needs {image.base} first", where=image.base)
        below = [base_layer(self._blobs, base)] if image.base and base else []
        files = [Entry(path, outputs[output], 0o755) for path, output in image.files]
        own = add_layer(self._blobs, files if below else [*SCRATCH, *files])
        return add_image(
            self._blobs,
            image.reference,
            [*below, own],
            architecture=host_architecture(),
            entrypoint=image.entrypoint,
            user=image.user,
        )


def _by_path(module: Module) -> tuple[str, str]:
    return module.path, module.version


def _inventory(toolchain: Toolchain, modules: Sequence[Module]) -> tuple[tuple[SbomComponent, ...], tuple[Entry, ...]]:
    """What was linked in: Go's own library and the modules, each with its licence as found in its files."""
    go = toolchain.version.removeprefix("go")
    components = [SbomComponent("std", go, f"pkg:golang/std@{go}", "BSD-3-Clause")]
    licences: list[Entry] = []
    for module in modules:
        files = licence_files(module_folder(toolchain.module_cache, module))
        texts = [path.read_text(encoding="utf-8", errors="replace") for path in files]
        purl = f"pkg:golang/{module.path}@{module.version}"
        components.append(SbomComponent(module.path, module.version, purl, recognised(texts), module.sum))
        licences.extend(licence_entries(f"{module.path}@{module.version}", files))
    return tuple(components), tuple(licences)
