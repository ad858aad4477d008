"""The vocabulary of a machine's desired state. Standard library only: it travels to machines with the agent.

A component contributes a ``Fragment`` per machine; ``compose`` joins fragments into a ``MachineState``.
"""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class File:
    """A regular file. ``secret`` content is hidden wherever the state is shown.

    ``initial``: only where a component needs a starting point that it owns and rewrites itself afterwards
    (Pacemaker's CIB): written when absent, never compared.

    ``check`` is the argv of a program that must accept the content (status 0) before it is put in place; the word
    ``{}`` stands for the candidate's path, a file of the same name in a private folder.
    """

    path: str
    content: bytes = field(repr=False)
    mode: int = 0o644
    owner: str = "root"
    group: str = "root"
    secret: bool = False
    initial: bool = False
    check: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Directory:
    """A directory that must exist; parents of files need no entry."""

    path: str
    mode: int = 0o755
    owner: str = "root"
    group: str = "root"


@dataclass(frozen=True, slots=True)
class Package:
    """A Debian package of the base image."""

    name: str


@dataclass(frozen=True, slots=True)
class Unit:
    """A systemd unit: whether it starts at boot and whether it runs now.

    ``reads`` are paths (files or folders) whose change asks for a restart, or a reload where ``reloads``. ``restarts``
    are those of them for which a reload isn't enough.
    ``active`` None: somebody else starts it (Pacemaker, a timer, kubeadm).

    ``effect`` is the argv of a program that ends with status 0 while what the unit does to the machine is there (a
    loaded packet filter); a unit that runs without it takes up anew what it reads. Asked at every look, so it is quick
    and changes nothing. The first line it says tells people what is missing.
    """

    name: str
    enabled: bool = True
    active: bool | None = True
    masked: bool = False
    reads: tuple[str, ...] = ()
    reloads: bool = False
    restarts: tuple[str, ...] = ()
    effect: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Sysctl:
    """A kernel setting, as ``net.ipv4.ip_forward`` = ``1``."""

    key: str
    value: str


@dataclass(frozen=True, slots=True)
class Artifact:
    """A program of the software bundle at ``path``: ``size`` bytes with the sha256 ``digest``, written as OCI does.

    Where nobody knows what it holds, ``digest`` is empty and any program at ``path`` will do.
    """

    name: str
    path: str
    digest: str = ""
    size: int = 0


@dataclass(frozen=True, slots=True)
class DataFolder:
    """A folder whose content outlives the root tree and needs a file system of its own (no overlayfs).

    ``enough`` is how many bytes suffice for it, None for as much as there is: a lab sets them apart. Without ``owner``
    and ``group`` it may belong to anybody.
    """

    path: str
    mode: int = 0o755
    enough: int | None = None
    owner: str = ""
    group: str = ""


@dataclass(frozen=True, slots=True)
class Mount:
    """A file system mounted at ``path``, now and at every boot. ``options`` are mount(8)'s, without commas."""

    source: str
    path: str
    type: str
    options: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class User:
    """A local account without a password, with a group of its name. ``groups`` are those it belongs to besides.

    ``uid`` is its number and its group's, where somebody has to know it beforehand; None for any.
    """

    name: str
    uid: int | None = None
    system: bool = True
    home: str = "/nonexistent"
    shell: str = "/usr/sbin/nologin"
    groups: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Symlink:
    """A symbolic link at ``path`` whose text is ``target``."""

    path: str
    target: str


@dataclass(frozen=True, slots=True)
class Volume:
    """A logical volume (LVM) of at least ``size_bytes`` with a file system on it, mounted at ``path`` if that is given.

    It is made, and grown while it is in use; never shrunk, and never removed unasked.
    """

    group: str
    name: str
    size_bytes: int
    filesystem: str = "ext4"
    path: str | None = None

    @property
    def device(self) -> str:
        return f"/dev/{self.group}/{self.name}"


@dataclass(frozen=True, slots=True)
class Address:
    """An IPv4 address that a card must have, and the router by which its default route leaves, if it has one.

    Where they come from (a lease, a file) is the network's own affair.
    """

    card: str
    address: str
    router: str = ""


@dataclass(frozen=True, slots=True)
class HostName:
    """What the machine is called, by its kernel and in ``/etc/hostname``."""

    name: str


Resource = (
    File
    | Directory
    | Package
    | Unit
    | Sysctl
    | Artifact
    | DataFolder
    | Mount
    | User
    | Symlink
    | Volume
    | Address
    | HostName
)


@dataclass(frozen=True, slots=True)
class Fragment:
    """What one component adds to one machine."""

    component: str
    resources: tuple[Resource, ...]


@dataclass(frozen=True, slots=True)
class MachineState:
    """A machine's whole desired state, each tuple ordered by its key (path, name)."""

    machine: str
    files: tuple[File, ...] = ()
    directories: tuple[Directory, ...] = ()
    packages: tuple[Package, ...] = ()
    units: tuple[Unit, ...] = ()
    sysctls: tuple[Sysctl, ...] = ()
    artifacts: tuple[Artifact, ...] = ()
    data_folders: tuple[DataFolder, ...] = ()
    mounts: tuple[Mount, ...] = ()
    users: tuple[User, ...] = ()
    links: tuple[Symlink, ...] = ()
    volumes: tuple[Volume, ...] = ()
    addresses: tuple[Address, ...] = ()
    host_names: tuple[HostName, ...] = ()
