"""What is found on a machine. None of these types is one of the desired state's."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum

from groundplane.agent.pending import Pending
from groundplane.state.derived import MachineManifest


class Form(str, Enum):  # noqa: UP042  # StrEnum is Python 3.11's
    FILE = "a file"
    FOLDER = "a folder"
    LINK = "a link"
    OTHER = "a device, pipe or socket"


@dataclass(frozen=True, slots=True)
class PathSeen:
    """What lies at a path; links are not followed. ``owner`` and ``group`` are numbers where nobody bears them.

    ``content`` is read for files that are wanted there, and None for one far too long to be one of them. ``changed``
    is its change time, seconds since 1970. ``size`` is in bytes; ``digest`` is known of programs that must hold
    something particular.
    """

    form: Form
    mode: int = 0
    owner: str = "root"
    group: str = "root"
    content: bytes | None = field(default=None, repr=False)
    target: str = ""
    changed: float = 0.0
    size: int = 0
    digest: str = ""


@dataclass(frozen=True, slots=True)
class UnitSeen:
    """A unit in systemd's own words. ``since``: when it left its last activity, None if it never had one."""

    load: str = "not-found"
    active: str = "inactive"
    sub: str = "dead"
    enablement: str = ""
    type: str = ""
    stale: bool = False
    since: float | None = None
    active_since: float = 0.0
    restarts: int = 0

    @property
    def runs(self) -> bool:
        return self.active in ("active", "reloading")

    @property
    def comes_up(self) -> bool:
        """Whether it is on its way to run; one that systemd starts again and again is not."""
        return self.active == "activating" and not self.sub.startswith("auto-restart")


@dataclass(frozen=True, slots=True)
class MountSeen:
    """The uppermost file system at a mount point."""

    source: str
    type: str


@dataclass(frozen=True, slots=True)
class UserSeen:
    uid: int
    home: str
    shell: str
    groups: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class VolumeSeen:
    """A logical volume; ``filesystem`` is empty where there is none on it."""

    size_bytes: int
    filesystem: str


@dataclass(frozen=True, slots=True)
class Observed:
    """A machine as it is, as far as its desired state has to do with it. What is absent isn't in the mappings.

    ``addresses`` are all IPv4 addresses of its own, ``routers`` the (card, address) of each default route.
    ``ineffective`` are the units whose effect is gone, with what its program said.
    """

    entries: Mapping[str, PathSeen] = field(default_factory=dict)
    packages: frozenset[str] = frozenset()
    units: Mapping[str, UnitSeen] = field(default_factory=dict)
    sysctls: Mapping[str, str] = field(default_factory=dict)
    mounts: Mapping[str, MountSeen] = field(default_factory=dict)
    users: Mapping[str, UserSeen] = field(default_factory=dict)
    volumes: Mapping[str, VolumeSeen] = field(default_factory=dict)
    addresses: frozenset[str] = frozenset()
    routers: frozenset[tuple[str, str]] = frozenset()
    host_name: str = ""
    ineffective: Mapping[str, str] = field(default_factory=dict)
    manifest: MachineManifest = field(default_factory=MachineManifest)
    pending: Pending = field(default_factory=Pending)
