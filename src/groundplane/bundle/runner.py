"""Running a long command as a guest: it can be watched, it ends when we do, and its last words are kept."""

from __future__ import annotations

import contextlib
import os
import selectors
import shutil
import signal
import subprocess
import sys
import tempfile
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import IO, Final, Protocol

from groundplane.errors import BundleError, Interrupted

TICK: Final = 1.0  # seconds between two looks at a silent command
LAST_WORDS: Final = 40  # lines of stderr kept for an error's detail
PATIENCE: Final = 20.0  # seconds a command has to end after SIGTERM; mmdebstrap has mounts to undo


class Watcher(Protocol):
    """Who is told about a running command."""

    def line(self, text: str) -> None:
        """The command wrote a line to stderr."""

    def tick(self) -> None:
        """The command still runs; called about once a second."""


class Unwatched:
    """A Watcher for commands nobody needs to hear about."""

    def line(self, text: str) -> None:
        """Dropped."""

    def tick(self) -> None:
        """Dropped."""


class Runner(Protocol):
    """Runs a command and returns its stdout; raises BundleError when it fails."""

    def __call__(
        self, argv: Sequence[str], *, cwd: Path, env: Mapping[str, str], watch: Watcher | None = None
    ) -> str: ...


PLACES: Final = (str(Path(sys.prefix) / "bin"), "/usr/local/go/bin")
"""Where a Go toolchain lies that isn't on PATH: one installed beside groundplane, or Go's own archive unpacked."""


class ProcessRunner:
    """The real Runner. Each command gets a process group of its own, which is ended with it.

    Once ``stopped`` says so, the running call raises Interrupted; on any exception (KeyboardInterrupt among
    them) the group is ended first. Should groundplane itself be killed, util-linux's
    setpriv lets the kernel end the command.
    """

    def __init__(self, stopped: Callable[[], bool]) -> None:
        self._stopped = stopped
        self._leash = ("setpriv", "--pdeathsig", "TERM") if shutil.which("setpriv") else ()
        self._path = os.pathsep.join((os.environ.get("PATH", os.defpath), *PLACES))

    def __call__(self, argv: Sequence[str], *, cwd: Path, env: Mapping[str, str], watch: Watcher | None = None) -> str:
        if shutil.which(argv[0], path=self._path) is None:
            raise BundleError(f"{argv[0]} isn't installed", hint=f"install {argv[0]}, or import a bundle file")
        # stdout goes to a file, so that only one pipe needs watching and none can fill up.
        with tempfile.TemporaryFile() as out:
            try:
                process = subprocess.Popen(
                    (*self._leash, *argv),
                    cwd=cwd,
                    env={**os.environ, "PATH": self._path, **env},
                    stdin=subprocess.DEVNULL,
                    stdout=out,
                    stderr=subprocess.PIPE,
                    process_group=0,
                )
            except OSError as error:
                raise BundleError(f"{argv[0]} can't be run", where=argv[0], detail=str(error)) from error
            assert process.stderr is not None
            with process.stderr as stderr:
                try:
                    words = self._follow(stderr, watch or Unwatched())
                    status = process.wait()
                except BaseException:
                    _end_group(process)
                    raise
            if status != 0:
                raise BundleError(
                    f"{' '.join(argv[:2])} ended with status {status}", where=argv[0], detail="\n".join(words)
                )
            out.seek(0)
            return out.read().decode(errors="replace")

    def _follow(self, stderr: IO[bytes], watch: Watcher) -> Sequence[str]:
        """Hand on stderr line by line until it closes."""
        words: deque[str] = deque(maxlen=LAST_WORDS)
        rest = b""
        with selectors.DefaultSelector() as selector:
            selector.register(stderr, selectors.EVENT_READ)
            while True:
                if self._stopped():
                    raise Interrupted("the bundle's build was interrupted", hint="run it again to go on")
                if selector.select(TICK):
                    chunk = os.read(stderr.fileno(), 1 << 16)
                    if not chunk:
                        return words
                    *lines, rest = (rest + chunk).split(b"\n")
                    for line in lines:
                        text = line.decode(errors="replace")
                        words.append(text)
                        watch.line(text)
                watch.tick()


def _end_group(process: subprocess.Popen[bytes]) -> None:
    for signal_number in (signal.SIGTERM, signal.SIGKILL):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal_number)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(PATIENCE)
            break
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)  # whatever outlived its leader
