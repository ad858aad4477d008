"""Kernel settings that no namespace isolates: a lab raises them for the whole host, and puts them back.

The kubelet insists on some values and would write them itself; in a machine they are read-only, so they must hold
before it starts. What was there before is kept in /run, which a reboot of the host clears together with the
settings; the last lab to be removed restores it.
"""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from groundplane.store.files import private_folder, write_private

SHARED: Final = Path("/run/groundplane")
"""What several labs of one host have in common."""


@dataclass(frozen=True, slots=True)
class Setting:
    """One setting and the value a lab needs. ``at_least``: a higher value that is there already is fine."""

    key: str
    value: int
    why: str
    at_least: bool = False

    @property
    def path(self) -> Path:
        return Path("proc/sys") / self.key.replace(".", "/")


SETTINGS: Final = (
    Setting("fs.inotify.max_user_instances", 8192, "every systemd, containerd and kubelet watches files", True),
    Setting("fs.inotify.max_user_watches", 1 << 20, "every systemd, containerd and kubelet watches files", True),
    Setting("kernel.keys.root_maxbytes", 25_000_000, "the kubelet expects it: each container has a key ring"),
    Setting("kernel.keys.root_maxkeys", 1_000_000, "the kubelet expects it: each container has a key ring"),
    Setting("kernel.panic", 10, "the kubelet expects it: seconds until the host restarts after a kernel panic"),
    Setting("kernel.panic_on_oops", 1, "the kubelet expects it"),
    Setting("vm.overcommit_memory", 1, "the kubelet expects it"),
    Setting("vm.panic_on_oom", 0, "the kubelet expects it"),
)


@dataclass(frozen=True, slots=True)
class Difference:
    """A setting a lab changes (or would change) on this host."""

    setting: Setting
    present: int


def differences(root: Path = Path("/")) -> tuple[Difference, ...]:
    """What a lab would change on this host right now; for ``doctor``. A setting the kernel lacks is left out."""
    found = []
    for setting in SETTINGS:
        present = _read(root / setting.path)
        if present is None or present == setting.value or (setting.at_least and present > setting.value):
            continue
        found.append(Difference(setting, present))
    return tuple(found)


def holder(lab: str, state: Path, *, shared: Path = SHARED) -> Path | None:
    """The state folder of another standing lab of that name on this host; None where the name is ours or free."""
    return _other(_load(shared / "kernel.json"), lab, state)


def claim(lab: str, state: Path, *, root: Path = Path("/"), shared: Path = SHARED) -> Path | None:
    """Count ``lab`` in and apply the settings. Returns the state folder of another lab of that name, if any.

    Where the name is taken nothing is changed. A claim whose state folder has vanished counts for nothing.
    """
    with _record(shared) as record:
        other = _other(record, lab, state)
        if other is not None:
            return other
        record.labs[lab] = str(state)
        for difference in differences(root):
            record.before.setdefault(difference.setting.key, difference.present)
        _save(shared, record)
        for difference in differences(root):
            _write(root / difference.setting.path, difference.setting.value)
    return None


def release(lab: str, state: Path, *, root: Path = Path("/"), shared: Path = SHARED) -> None:
    """Count ``lab`` out; after the last one everything is as it was before the first.

    A lab whose state folder somebody deleted is counted out with it.
    """
    if not shared.is_dir():
        return
    with _record(shared) as record:
        if record.labs.get(lab) == str(state):
            del record.labs[lab]
        record.labs = {name: folder for name, folder in record.labs.items() if Path(folder).is_dir()}
        if record.labs:
            _save(shared, record)
            return
        wanted = {setting.key: setting for setting in SETTINGS}
        for key, value in record.before.items():
            # Only what still has our value: somebody may have changed it meanwhile for reasons of their own.
            if key in wanted and _read(root / wanted[key].path) == wanted[key].value:
                _write(root / wanted[key].path, value)
        for path in sorted(shared.iterdir()):
            path.unlink()
        shared.rmdir()


@dataclass(slots=True)
class _Record:
    labs: dict[str, str]
    before: dict[str, int]


def _other(record: _Record, lab: str, state: Path) -> Path | None:
    found = record.labs.get(lab)
    if found is None or Path(found) == state or not Path(found, "lab").is_dir():
        return None
    return Path(found)


@contextmanager
def _record(shared: Path) -> Iterator[_Record]:
    """The host-wide record under its lock; a damaged one counts as empty."""
    handle = _lock(shared)
    try:
        yield _load(shared / "kernel.json")
    finally:
        os.close(handle)


def _lock(shared: Path) -> int:
    """The open lock file, held. The last lab removes the file, so a lock on a removed one is none: try again."""
    while True:
        private_folder(shared)
        handle = os.open(shared / "lock", os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        fcntl.flock(handle, fcntl.LOCK_EX)  # held for milliseconds only
        try:
            if os.fstat(handle).st_ino == os.stat(shared / "lock").st_ino:
                return handle
        except FileNotFoundError:
            pass
        os.close(handle)


def _load(path: Path) -> _Record:
    try:
        content = json.loads(path.read_bytes())
        return _Record(
            {str(lab): str(state) for lab, state in content["labs"].items()},
            {str(key): int(value) for key, value in content["before"].items()},
        )
    except (FileNotFoundError, ValueError, KeyError, TypeError, AttributeError):
        return _Record({}, {})


def _save(shared: Path, record: _Record) -> None:
    content = json.dumps({"labs": record.labs, "before": record.before}, sort_keys=True, indent=1)
    write_private(shared / "kernel.json", content.encode())


def _read(path: Path) -> int | None:
    try:
        return int(path.read_text(encoding="ascii"))
    except (FileNotFoundError, ValueError):
        return None


def _write(path: Path, value: int) -> None:
    path.write_text(str(value), encoding="ascii")
