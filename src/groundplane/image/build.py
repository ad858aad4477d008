"""Builds the base image once and keeps it: the recipe, its lock and its progress."""

from __future__ import annotations

import asyncio
import fcntl
import os
import shutil
from collections import deque
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Final

from groundplane.bundle.apt import keyring
from groundplane.errors import HostError, ImageError
from groundplane.events import Emit, Progress, reported
from groundplane.image import mmdebstrap
from groundplane.image.customise import customise, manifest
from groundplane.image.inputs import BaseImage, all_packages, digest, sources
from groundplane.image.removal import mounts_under, read_mounts, remove_tree
from groundplane.image.threads import to_the_end
from groundplane.spec.model import Image
from groundplane.store.files import private_folder
from groundplane.verify.condition import NotYet, wait_until

SUBJECT: Final = "image"
STEP: Final = "base image"
LAST_WORDS: Final = 30  # lines of mmdebstrap's output kept for an error
TICK: Final = 1.5  # seconds between two progress events
PATIENCE: Final = 1800.0  # seconds to wait for another builder of the same image
SPACE: Final = 2 << 30  # bytes a build needs at its peak


async def build(image: Image, packages: Sequence[str], cache: Path, emit: Emit) -> BaseImage:
    """Return the image of ``packages`` (and BASE_PACKAGES), building it where ``cache`` hasn't got it.

    ``cache`` is groundplane's cache folder; images lie in ``<cache>/image/<digest>/``, each with ``root/`` and
    ``manifest`` (packages and versions). Two builders at once: the second waits and takes the first one's.
    A build that was killed leaves a folder without its final name, which the next build removes.
    Raises HostError (no root, no tool, no keyring, no space) and ImageError (mmdebstrap or the tree failed).
    """
    origins = sources(image)
    name = digest(image, packages, origins)
    folder = cache / "image"
    finished = folder / name
    with reported(emit, SUBJECT, STEP) as outcome:
        outcome.note = f"{image.distribution} {image.release}"
        if not _complete(finished):
            _check_host(folder)
            async with _locked(folder / f"{name}.lock", emit):
                if not _complete(finished):
                    await _make(image, all_packages(packages), origins, finished, emit)
                    return BaseImage(finished / "root", name)
        outcome.changed = False
    return BaseImage(finished / "root", name)


def _complete(finished: Path) -> bool:
    """Whether the image is whole; a folder of that name without its list of packages was cut short."""
    return (finished / "manifest").is_file()


async def _make(image: Image, packages: Sequence[str], origins: Sequence[str], finished: Path, emit: Emit) -> None:
    """The recipe. The caller holds the lock, so what lies there unfinished is a dead builder's."""
    unfinished = finished.with_name(f".partial-{finished.name}")
    root = unfinished / "root"
    for left in (unfinished, finished):
        await to_the_end(partial(_clear, left))
    unfinished.mkdir(mode=0o755)
    try:
        argv = mmdebstrap.command(image, packages, root, keyring=keyring(image.distribution), sources=origins)
        await _run(argv, _Reporter(root, emit))
        await to_the_end(partial(_finish, unfinished, finished))
    except BaseException:
        await to_the_end(partial(_clear, unfinished))
        raise


def _finish(unfinished: Path, finished: Path) -> None:
    root = unfinished / "root"
    customise(root)
    (unfinished / "manifest").write_text(manifest(root), encoding="utf-8")
    os.sync()  # the name says "complete", so the content must be on disk before the name is
    unfinished.rename(finished)


def _clear(unfinished: Path) -> None:
    """Remove what a killed build left, unmounting first what it had mounted inside."""
    table = read_mounts()
    if mounts_under(unfinished, table):
        raise ImageError(
            "an earlier build left something mounted in its folder",
            where=str(unfinished),
            hint=f"run: umount --recursive {mounts_under(unfinished, table)[-1]}",
        )
    remove_tree(unfinished)


@dataclass(slots=True)
class _Reporter:
    """Turns mmdebstrap's output into progress events and keeps its last words."""

    root: Path
    emit: Emit
    stage: str = "starting"
    expected: int = 0
    words: deque[str] = field(default_factory=lambda: deque(maxlen=LAST_WORDS))

    def line(self, text: str) -> None:
        self.words.append(text)
        self.stage = mmdebstrap.said(text) or self.stage

    def tick(self) -> None:
        done = mmdebstrap.installed(self.root)
        self.expected = max(self.expected, mmdebstrap.downloaded(self.root), done)
        self.emit(Progress(SUBJECT, STEP, note=self.stage, done=done, total=self.expected))


async def _run(argv: Sequence[str], reporter: _Reporter) -> None:
    process = await asyncio.create_subprocess_exec(
        *argv,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        env={**os.environ, "LC_ALL": "C.UTF-8", "DEBIAN_FRONTEND": "noninteractive"},
        limit=1 << 20,
    )
    assert process.stdout is not None
    follow = asyncio.create_task(_follow(process.stdout, reporter))
    try:
        while not (await asyncio.wait({follow}, timeout=TICK))[0]:
            reporter.tick()
        await follow
        status = await process.wait()
    except BaseException:
        if process.returncode is None:
            process.kill()  # setpriv's leash ends the whole process namespace
        await process.wait()
        follow.cancel()
        raise
    if status != 0:
        raise ImageError(
            f"mmdebstrap ended with status {status}",
            where=str(reporter.root),
            hint="check the mirror, the release's name and the free space; running the command again starts afresh",
            detail="\n".join(reporter.words),
        )


async def _follow(output: asyncio.StreamReader, reporter: _Reporter) -> None:
    async for line in output:
        reporter.line(line.decode(errors="replace").rstrip())


@asynccontextmanager
async def _locked(path: Path, emit: Emit) -> AsyncIterator[None]:
    """Hold the image's lock; it goes with the process however that ends."""
    handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)

    async def take() -> None:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            emit(Progress(SUBJECT, STEP, note="another groundplane builds this image, waiting for it"))
            raise NotYet("another groundplane builds this image") from None

    try:
        await wait_until("the image's lock is free", take, deadline=PATIENCE, every=TICK, where=str(path))
        yield
    finally:
        os.close(handle)


def _check_host(folder: Path) -> None:
    if os.geteuid() != 0:
        raise HostError("building the base image needs root", hint="run the command with sudo")
    missing = [tool for tool in ("mmdebstrap", "unshare", "setpriv", "chroot") if shutil.which(tool) is None]
    if missing:
        raise HostError(
            f"the base image needs {', '.join(missing)}", hint="run: apt-get install mmdebstrap util-linux coreutils"
        )
    private_folder(folder)
    free = shutil.disk_usage(folder).free
    if free < SPACE:
        raise HostError(
            f"the base image needs {SPACE >> 30} GiB of space, {free / (1 << 30):.1f} GiB are free", where=str(folder)
        )
