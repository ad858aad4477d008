"""The ordinary Go client, asked for exactly what a part's go.mod and go.sum pin.

Nothing is fetched here by hand: ``go`` downloads through whatever proxy and checksum database the user
set up, ``-mod=readonly`` keeps it to the go.sum in the project, and -trimpath without VCS stamps makes the
same inputs give the same bytes on every machine.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from groundplane.bundle.runner import Runner, Watcher
from groundplane.bundle.versions import PartSpec
from groundplane.errors import BundleError

STAND_IN: Final = "standin"
_STATIC_CGO: Final = ("-linkmode external", '-extldflags "-static"')


@dataclass(frozen=True, slots=True)
class Toolchain:
    """What ``go env`` says in a part's folder; its go.mod may select another toolchain than the default."""

    version: str
    architecture: str
    module_cache: Path


@dataclass(frozen=True, slots=True)
class Module:
    """A module some program was built from; ``sum`` is its go.sum hash, "" for a folder of our own."""

    path: str
    version: str
    sum: str = ""


class Go:
    """One part's builds. ``runner`` does the running."""

    def __init__(self, runner: Runner, part: PartSpec) -> None:
        self._runner = runner
        self._part = part
        self._env = {
            "CGO_ENABLED": "1" if part.cgo else "0",
            "GOFLAGS": "-mod=readonly",
            "GOOS": "linux",
            "GOWORK": "off",
        }

    def toolchain(self) -> Toolchain:
        """Which Go builds this part, for which machine."""
        told = json.loads(self._run("env", "-json", "GOVERSION", "GOARCH", "GOMODCACHE"))
        return Toolchain(told["GOVERSION"], told["GOARCH"], Path(told["GOMODCACHE"]))

    def download(self, watch: Watcher) -> int:
        """Fetch and check every module the build needs, and no other; the number of packages it compiles."""
        return len(self._run("list", *self._tags(), "-deps", *self._part.packages, watch=watch).split())

    def build(self, out: Path, watch: Watcher) -> dict[str, Path]:
        """Compile the part's programs into ``out``: program name → file."""
        flags = ("-v", "-trimpath", "-buildvcs=false", *self._tags(), "-ldflags", " ".join(self._ldflags()))
        self._run("build", *flags, "-o", f"{out}/", *self._part.packages, watch=watch)
        built = {program_name(package): out / program_name(package) for package in self._part.packages}
        for path in built.values():
            if not path.is_file():
                raise BundleError(f"go build left no {path.name}", where=self._part.name)
        return built

    def modules(self, binary: Path) -> tuple[Module, ...]:
        """The modules linked into a program, from the build information Go keeps in it."""
        return tuple(parse_build_info(self._run("version", "-m", str(binary)).splitlines()))

    def _tags(self) -> tuple[str, ...]:
        return ("-tags", ",".join(self._part.tags)) if self._part.tags else ()

    def _ldflags(self) -> tuple[str, ...]:
        # No symbol tables, the part's version stamps, and one static file even with cgo.
        return ("-s -w", *self._part.ldflags, *(_STATIC_CGO if self._part.cgo else ()))

    def _run(self, *argv: str, watch: Watcher | None = None) -> str:
        try:
            return self._runner(("go", *argv), cwd=self._part.folder, env=self._env, watch=watch)
        except BundleError as error:
            raise BundleError(
                f"can't build {self._part.name} {self._part.version}: {error.what}",
                where=self._part.name,
                hint=error.hint or "run it again to go on where it stopped, or use another source",
                detail=error.detail,
            ) from error


def program_name(package: str) -> str:
    """What ``go build`` calls the program of a main package: its last element that isn't a major version."""
    elements = package.split("/")
    last = elements[-1]
    return elements[-2] if last[:1] == "v" and last[1:].isdigit() else last


def parse_build_info(lines: Iterable[str]) -> Iterator[Module]:
    """Read ``go version -m``: ``dep PATH VERSION SUM`` lines, each maybe followed by its replacement, ``=>``.

    A module replaced by another is told as that other one; one replaced by a folder of ours keeps its name
    and has the version STAND_IN.
    """
    pending: Module | None = None
    for line in lines:
        fields = line.split("\t")[1:]
        if fields[:1] == ["=>"] and pending:
            pending = Module(pending.path, STAND_IN) if fields[1].startswith(".") else _module(fields)
            continue
        if pending:
            yield pending
        pending = _module(fields) if fields[:1] == ["dep"] else None
    if pending:
        yield pending


def module_folder(cache: Path, module: Module) -> Path:
    """Where the module cache keeps a module: upper case letters are written ``!lower`` (go mod, escaped paths)."""
    return cache / f"{_escape(module.path)}@{_escape(module.version)}"


def _module(fields: Sequence[str]) -> Module:
    return Module(fields[1], fields[2], fields[3] if len(fields) > 3 else "")


def _escape(path: str) -> str:
    return "".join(f"!{char.lower()}" if char.isupper() else char for char in path)
