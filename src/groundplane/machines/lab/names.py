"""What a lab's parts are called on the host. Every name begins with ``gp-`` or lies in a folder of ours.

A machine's name may hold hyphens but no dot and no underscore, so ``gp-<lab>.<machine>`` can't be mistaken for
another lab's, and ``_forward`` can't be a machine.
"""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Final

from groundplane.image.removal import unescape

NAMESPACES: Final = Path("/run/netns")
"""Where ip-netns(8) looks for named network namespaces."""

FORWARDER: Final = "_forward"
"""The forwarder's control group, beside the machines' groups."""

LAN: Final = "lan"
WAN: Final = "wan"
_LINK_LENGTH: Final = 15  # IFNAMSIZ less the final zero byte
_CONTAINER_LENGTH: Final = 64


@dataclass(frozen=True, slots=True)
class Names:
    """The names of one lab's parts."""

    lab: str

    @property
    def namespace(self) -> str:
        """The lab's network namespace: bridges, the operator's address, the forwarder's outgoing side."""
        return f"gp-{self.lab}"

    def machine_namespace(self, machine: str) -> str:
        return f"{self.namespace}.{machine}"

    def machine_of(self, namespace: str) -> str | None:
        """The machine a namespace of this lab belongs to; None for any other name."""
        head, dot, machine = namespace.partition(".")
        return machine if dot and head == self.namespace else None

    def container(self, machine: str) -> str:
        """The name systemd-nspawn knows it by: unique on the host, a valid host name, at most 64 characters."""
        return _shortened(f"gp-{self.lab}.{machine}", f"{self.lab}.{machine}", _CONTAINER_LENGTH)

    def group(self, machine: str) -> str:
        """Its control group, relative to our folder in each hierarchy."""
        return f"{self.lab}/{machine}"


def port(machine: str, bridge: str = LAN) -> str:
    """The bridge's end of a machine's cable: ``l-cp1`` on the LAN, ``w-gateway`` on the outer bridge."""
    return _shortened(f"{bridge[0]}-{machine}", f"{bridge}.{machine}", _LINK_LENGTH)


def outer_mac(lab: str, machine: str) -> str:
    """A locally administered address for the outer card; the same at every call."""
    return _mac(f"{lab}.{machine}.{WAN}")


def bridge_mac(lab: str, bridge: str) -> str:
    """The same for a bridge. Left alone, it has one of its ports' addresses, and another when that port goes."""
    return _mac(f"{lab}.{bridge}")


def _mac(unique: str) -> str:
    raw = sha256(unique.encode()).digest()
    return ":".join(f"{byte:02x}" for byte in (0x02, *raw[:5]))


def machine_id(lab: str, machine: str) -> str:
    """A machine-id(5) that stays the same however often the machine is started."""
    return sha256(f"groundplane.{lab}.{machine}".encode()).hexdigest()[:32]


def _shortened(name: str, unique: str, length: int) -> str:
    if len(name) <= length:
        return name
    return f"{name[: length - 7].rstrip('-.')}-{sha256(unique.encode()).hexdigest()[:6]}"


@dataclass(frozen=True, slots=True)
class Folders:
    """Where a lab keeps what is its own, below the platform's state folder."""

    state: Path

    @property
    def root(self) -> Path:
        return self.state / "lab"

    @property
    def machines(self) -> Path:
        return self.root / "machines"

    @property
    def data(self) -> Path:
        return self.root / "data"

    @property
    def layer(self) -> Path:
        """The layer laid over the software for the lab's sake alone."""
        return self.root / "layer"

    @property
    def port(self) -> Path:
        """The forwarder's port on this computer; kept, so that a kubeconfig stays right."""
        return self.root / "port"

    def machine(self, machine: str) -> Path:
        return self.machines / machine

    def made(self, machine: str) -> Path:
        """Written last when a machine is created: its seed's digest. Without it, the creation was cut short."""
        return self.machine(machine) / "made"

    def identity(self, machine: str) -> Path:
        """Written first: who the machine is, also while its creation isn't finished."""
        return self.machine(machine) / "machine.json"

    def console(self, machine: str) -> Path:
        return self.machine(machine) / "console.log"

    def data_folder(self, machine: str, path: str) -> Path:
        return self.data / machine / path.lstrip("/")


def mounted(path: Path, mountinfo: str) -> bool:
    """Whether something is mounted exactly at ``path`` and can be reached there: not what a later mount on a folder
    above has covered. ``mountinfo``: text of /proc/self/mountinfo, which lists both.
    """
    mounts = _mounts(mountinfo)
    covered = {below for below, point in mounts if point in path.parents}
    return any(point == path and below not in covered for below, point in mounts)


def mounts_in(folder: Path, mountinfo: str) -> tuple[str, ...]:
    """The names in ``folder`` at which something is mounted that can be reached there, sorted."""
    points = {point for _, point in _mounts(mountinfo) if point.parent == folder}
    return tuple(sorted(point.name for point in points if mounted(point, mountinfo)))


def _mounts(mountinfo: str) -> list[tuple[str, Path]]:
    """The number of the mount that each one lies on, and where; proc_pid_mountinfo(5)."""
    lines = (line.split(" ") for line in mountinfo.splitlines())
    return [(fields[1], Path(unescape(fields[4]))) for fields in lines if len(fields) > 4]
