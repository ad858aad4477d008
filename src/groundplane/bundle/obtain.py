"""Getting a bundle: out of the cache, a file, the official releases, or the published Go modules."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from pathlib import Path
from threading import Event

from groundplane.bundle import effort
from groundplane.bundle.bundle import Bundle, open_bundle
from groundplane.bundle.cache import publish
from groundplane.bundle.lock import locked
from groundplane.bundle.media import PART_NAME
from groundplane.bundle.modules import DOWNLOAD, ModulesSource
from groundplane.bundle.record import INPUTS, PartRecord, Records, inputs_digest
from groundplane.bundle.runner import ProcessRunner, Runner
from groundplane.bundle.sources import OFFICIAL, Mirrors, Source, SourceName
from groundplane.bundle.versions import PartSpec, Versions, load_versions
from groundplane.errors import BundleError
from groundplane.events import Emit, Noticed, Planned, doing, reported, silent
from groundplane.oci.layout import BlobStore


def obtain(
    version: str,
    *,
    cache: Path,
    source: SourceName = "auto",
    file: Path | None = None,
    mirrors: Mirrors = OFFICIAL,
    emit: Emit = silent,
    cancel: Event | None = None,
    runner: Runner | None = None,
) -> Bundle:
    """The bundle of a Kubernetes version, complete, in ``cache``; blocks, for minutes when it's built here.

    ``auto`` takes ``file`` if given, else what the cache has; what it lacks from the official releases if they
    answer, and what is left is built from Go modules. Stopped halfway (``cancel`` from another thread, or
    KeyboardInterrupt), the next call goes on with the part that was in hand; only parts whose inputs changed are made
    again.
    Raises BundleError, Interrupted.
    """
    versions = load_versions(version)
    failed = Event()
    # A finished bundle appears in one rename, so it is taken without waiting for whoever builds another one.
    if source == "auto" and file is None and (bundle := cached_bundle(versions, cache)):
        with reported(emit, "bundle", "obtain", changed=False) as outcome:
            outcome.note = "complete in the cache"
        return bundle
    with locked(cache, emit, cancel):
        run = runner or ProcessRunner(lambda: failed.is_set() or (cancel is not None and cancel.is_set()))
        _sweep(BlobStore(cache))
        try:
            sources = in_order(source, file, mirrors, versions, run, BlobStore(cache), emit)
            served = source != "auto" or any(one.name == "release" for one in sources)
            return assemble(versions, sources, cache, emit, "" if served else "the official releases don't answer: ")
        except BaseException:
            failed.set()  # ends what still runs beside
            raise


def _sweep(blobs: BlobStore) -> None:
    """Remove what a killed run left half done. Only under the lock: nobody else writes here."""
    shutil.rmtree(blobs.root / "build", ignore_errors=True)
    for path in blobs.folder.glob(".pending-*"):
        path.unlink(missing_ok=True)


def cached_bundle(versions: Versions, cache: Path) -> Bundle | None:
    """The finished bundle in the cache, if it's made of what ``versions`` says and no blob is missing or short."""
    try:
        bundle = open_bundle(cache / versions.kubernetes)
    except BundleError:
        return None
    have = {(one.part.annotation(PART_NAME), one.part.annotation(INPUTS)) for one in bundle.records}
    wanted = {(part.name, inputs_digest(part)) for part in versions.parts if not part.is_base}
    intact = all(bundle.blobs.has(blob) for blob, _ in bundle.contents())
    return bundle if wanted <= have and intact else None


def assemble(versions: Versions, sources: Sequence[Source], cache: Path, emit: Emit, because: str = "") -> Bundle:
    """Get every part from the first source that offers it, the next one's downloads beside this one's build.

    ``because`` stands before what is said of how long that takes.
    """
    blobs, memory = BlobStore(cache), Records(cache / "records")
    plan = _plan(versions, sources)
    done: dict[str, PartRecord] = {}
    fetches: dict[str, Future[None]] = {}
    pool = ThreadPoolExecutor(max_workers=1, thread_name_prefix="fetch")

    def recall(part: PartSpec, source: Source) -> PartRecord | None:
        base = source.base_for(part)
        if base and base not in done:
            return None
        return memory.get(part, source.key(part, done.get(base)), blobs)

    def fetch(part: PartSpec, source: Source) -> Future[None]:
        if part.name not in fetches:
            fetches[part.name] = pool.submit(prepare, part, source)
        return fetches[part.name]

    def prepare(part: PartSpec, source: Source) -> None:
        with doing(emit, part.name, DOWNLOAD):
            source.prepare(part)

    emit(Planned("bundle", "obtain", steps=tuple((part.name, "obtain") for part, _ in plan)))
    if note := effort.told(_missing(plan, memory, blobs)):
        emit(Noticed("bundle", "obtain", note=f"{because}{note}"))
    try:
        for position, (part, source) in enumerate(plan):
            with reported(emit, part.name, "obtain") as outcome:
                record = recall(part, source)
                outcome.changed, outcome.note = record is None, f"{part.version} from {source.name}"
                if record is None:
                    fetched = fetch(part, source)
                    upcoming = (step for step in plan[position + 1 :] if recall(*step) is None)
                    for step in islice(upcoming, 1):
                        fetch(*step)
                    fetched.result()
                    base = done.get(source.base_for(part))
                    record = source.provide(part, base)
                    memory.put(part, source.key(part, base), record)
                done[part.name] = record
    finally:
        pool.shutdown(wait=False, cancel_futures=True)
    return publish(versions.kubernetes, tuple(done.values()), cache)


def _missing(plan: Sequence[tuple[PartSpec, Source]], memory: Records, blobs: BlobStore) -> list[tuple[str, str]]:
    """The parts that aren't in the cache, and what stands on those: name and source of each."""
    known: dict[str, PartRecord] = {}
    for part, source in plan:
        base = source.base_for(part)
        if (not base or base in known) and (record := memory.get(part, source.key(part, known.get(base)), blobs)):
            known[part.name] = record
    return [(part.name, source.name) for part, source in plan if part.name not in known]


def _plan(versions: Versions, sources: Sequence[Source]) -> list[tuple[PartSpec, Source]]:
    """Which source gives which part. A base nobody builds on (ready-made images bring theirs) is left out."""
    chosen = {part.name: _choose(part, sources) for part in versions.parts if not part.is_base}
    bases = {chosen[part.name].base_for(part) for part in versions.parts if part.name in chosen}
    chosen |= {part.name: _choose(part, sources) for part in versions.parts if part.name in bases}
    return [(part, chosen[part.name]) for part in versions.parts if part.name in chosen]


def _choose(part: PartSpec, sources: Sequence[Source]) -> Source:
    for source in sources:
        if source.offers(part):
            return source
    names = ", ".join(source.name for source in sources)
    raise BundleError(f"{part.name} {part.version} can't be had from {names}", where=part.name)


def in_order(
    name: SourceName,
    file: Path | None,
    mirrors: Mirrors,
    versions: Versions,
    runner: Runner,
    blobs: BlobStore,
    emit: Emit,
) -> list[Source]:
    """The sources to ask, in order. What nobody publishes (our own test image) is built whichever is asked."""
    if (name == "file" and file is None) or (name not in {"auto", "file"} and file is not None):
        raise BundleError(
            "a bundle file goes with the source `file`, and only with it",
            hint="name the file, or choose another source",
        )
    found: list[Source] = []
    if file is not None:
        from groundplane.bundle.archive import FileSource

        given = FileSource(file, blobs, emit)
        if given.version != versions.kubernetes:
            raise BundleError(
                f"the file holds Kubernetes {given.version}, not {versions.kubernetes}",
                where=str(file),
                hint="give the file of that version, or none",
            )
        found.append(given)
        # A whole file leaves nothing to ask for, and where files are carried there is often nobody to ask.
        if name == "file" or all(given.offers(part) for part in versions.parts if not part.is_base):
            return found
    if name != "modules":
        from groundplane.bundle.release import ReleaseSource  # loads the HTTP stack: only when it's used

        release = ReleaseSource(mirrors, blobs, emit)
        if name == "release" or release.reachable(versions.part("kubernetes")):
            found.append(release)
    return [*found, ModulesSource(runner, blobs, emit, mirror=mirrors.debian)]
