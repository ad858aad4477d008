"""The agent as it is sent: one zip of its sources, the same bytes for the same sources.

On the machine it is unpacked into a folder named by its digest, so that Python keeps what it compiles beside it: a look
at a machine then takes a third less than from the zip itself.
"""

from __future__ import annotations

import io
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import Final

import groundplane

FOLDER: Final = "/var/lib/groundplane/agent"
OLDEST_PYTHON: Final = (3, 10)
TOO_OLD: Final = 64
"""The status with which ``INSTALL`` ends where Python is too old; nothing else ends with it (sysexits.h)."""

_MODULES: Final = ("state/change.py", "state/derived.py", "state/model.py", "state/wire.py")
_EMPTY: Final = ("groundplane/__init__.py", "groundplane/state/__init__.py")
_MAIN: Final = """\
import sys
from groundplane.agent.main import main
sys.exit(main(sys.argv[1]))
"""

OUTDATED: Final = 24 * 3600
"""Seconds after which another version's folder is nobody's: no run lasts as long."""

INSTALL: Final = f"""\
import sys
if sys.version_info < {OLDEST_PYTHON!r}:
    sys.stderr.write("Python " + sys.version.split()[0])
    sys.exit({TOO_OLD})
import hashlib, io, os, shutil, time, zipfile
digest, data = sys.argv[1], sys.stdin.buffer.read()
if hashlib.sha256(data).hexdigest() != digest:
    sys.exit("what arrived is not what was sent")
os.umask(0o022)
place = os.path.join({FOLDER!r}, digest)
fresh = place + "." + str(os.getpid())
try:
    os.makedirs({FOLDER!r}, exist_ok=True)
    os.chmod({FOLDER!r}, 0o700)
    for name in os.listdir({FOLDER!r}):
        other = os.path.join({FOLDER!r}, name)
        if os.stat(other).st_mtime < time.time() - {OUTDATED}:
            shutil.rmtree(other, ignore_errors=True)
    zipfile.ZipFile(io.BytesIO(data)).extractall(fresh)
    os.sync()
    shutil.rmtree(place, ignore_errors=True)
    os.rename(fresh, place)
except OSError as error:
    shutil.rmtree(fresh, ignore_errors=True)
    if not os.path.exists(os.path.join(place, "__main__.py")):
        sys.exit("the agent can't be laid in {FOLDER}: " + str(error.strerror))
"""
"""What a machine's Python is given to unpack the agent from stdin, its digest being the one argument."""


@dataclass(frozen=True, slots=True)
class Agent:
    """The zip, and the sha256 that names it."""

    data: bytes = field(repr=False)
    digest: str

    @property
    def install(self) -> tuple[str, ...]:
        """The argv that unpacks it from stdin on a machine."""
        return ("python3", "-I", "-S", "-c", INSTALL, self.digest)

    def command(self, mode: str) -> tuple[str, ...]:
        """The argv that runs it: isolated, and without the machine's own packages."""
        return ("python3", "-I", "-S", f"{FOLDER}/{self.digest}", mode)


@cache
def agent() -> Agent:
    """The agent of this groundplane."""
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in sorted(_sources()):
            entry = zipfile.ZipInfo(name)  # of 1980, whatever the sources' own time
            entry.compress_type = zipfile.ZIP_DEFLATED
            entry.external_attr = 0o600 << 16
            archive.writestr(entry, content)
    return Agent(data.getvalue(), sha256(data.getvalue()).hexdigest())


def _sources() -> Iterator[tuple[str, bytes]]:
    package = Path(groundplane.__file__).parent
    modules = sorted(path.relative_to(package).as_posix() for path in (package / "agent").glob("*.py"))
    for name in (*modules, *_MODULES):
        yield f"groundplane/{name}", (package / name).read_bytes()
    for name in _EMPTY:
        yield name, b""
    yield "__main__.py", _MAIN.encode()
