"""What this computer has and lacks for building images and carrying a lab; ``groundplane doctor`` shows it."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final

from groundplane.bundle.apt import host_mirrors, keyring
from groundplane.errors import HostError
from groundplane.image.removal import MOUNTS, read_mounts, unescape
from groundplane.machines.base import HostFinding
from groundplane.machines.lab.bridging import MODULE, filters, loadable
from groundplane.machines.lab.cgroups import detect
from groundplane.machines.lab.kernel import differences

TOOLS: Final = (
    ("systemd-nspawn", "systemd-container"),
    ("mmdebstrap", "mmdebstrap"),
    ("ip", "iproute2"),
    ("nsenter", "util-linux"),
    ("unshare", "util-linux"),
    ("setsid", "util-linux"),
    ("setpriv", "util-linux"),
    ("mount", "mount"),
    ("umount", "mount"),
    ("mkfs.ext4", "e2fsprogs"),
    ("find", "findutils"),
    ("chroot", "coreutils"),
)
"""Programs the lab runs, and the Debian packages that bring them."""

KEYS: Final = "debian-archive-keyring"
"""What the default image's packages are checked with."""

ENTRY: Final = ("ip", "nsenter", "umount")
"""Those that a lab that stands is entered and removed with."""

AS_ROOT: Final = "run the command with sudo"

SPACE: Final = 10 << 30  # bytes: image, bundle and a default lab's data
NO_UPPER: Final = ("overlay", "nfs", "nfs4", "vfat", "fuse", "9p", "virtiofs", "ramfs")
"""File systems an overlay's upper layer can't lie on (no whiteouts or no trusted attributes), overlayfs.rst."""

_FEATURES: Final = (
    ("veth", "ip link add gp-a type veth peer name gp-b"),
    ("bridge", "ip link add gp-c type bridge"),
    ("vxlan", "ip link add gp-d type vxlan id 1 dstport 4789"),
)


def missing_tools(
    which: Callable[[str], str | None] = shutil.which, besides: Collection[str] = ()
) -> tuple[HostFinding, ...]:
    """A finding per program; the remedy of each names the one command that installs all that are missing, and the
    packages ``besides``."""
    lacking = [(tool, package) for tool, package in TOOLS if which(tool) is None]
    remedy = install_command((*(package for _, package in lacking), *besides)) if lacking else ""
    return tuple(
        HostFinding(tool, (tool, package) not in lacking, which(tool) or "not installed", remedy)
        for tool, package in TOOLS
    )


def install_command(packages: Iterable[str]) -> str:
    names = sorted(set(packages))
    return f"apt-get install {' '.join(names)}" if names else ""


def require_lab(state: Path) -> None:
    """Raise HostError, with the way out, where a lab can't run at all. Cheap: called at every start."""
    _require(dict(TOOLS))
    for finding in (overlay(), upper_layer(state)):
        if not finding.fine:
            raise HostError(f"{finding.name}: {finding.seen}", hint=finding.remedy)


def require_entry() -> None:
    """Raise HostError where not even a lab that stands can be looked at, entered, stopped or removed."""
    _require(ENTRY)


def _require(tools: Collection[str]) -> None:
    """Root, and these of TOOLS."""
    if os.geteuid() != 0:
        raise HostError(
            "the lab needs root: it makes network namespaces and system containers",
            hint=AS_ROOT,
        )
    packages = dict(TOOLS)
    lacking = [finding.name for finding in missing_tools() if not finding.fine and finding.name in tools]
    if lacking:
        raise HostError(
            f"programs are missing: {', '.join(lacking)}",
            hint=f"run: {install_command(packages[tool] for tool in lacking)}",
        )


def examine(state: Path) -> tuple[HostFinding, ...]:
    """Everything ``doctor`` shows about this computer, nothing changed. ``state`` is where platforms are kept."""
    keys = archive()
    tools = missing_tools(besides=() if keys.fine else (KEYS,))
    # One command brings all that is missing.
    command = next((tool.remedy for tool in tools if not tool.fine), install_command((KEYS,)))
    return (
        HostFinding("root", os.geteuid() == 0, f"user id {os.geteuid()}", AS_ROOT),
        *tools,
        overlay(),
        upper_layer(state),
        fuse(),
        control_groups(),
        kernel_settings(),
        replace(keys, remedy=command),
        *network_features(),
        bridge_filter(),
        memory(),
        space(state),
    )


def overlay(filesystems: Path = Path("/proc/filesystems")) -> HostFinding:
    known = "overlay" in filesystems.read_text(encoding="ascii").split()
    loadable = any(Path("/lib/modules").glob(f"{os.uname().release}/kernel/fs/overlayfs/overlay.ko*"))
    return HostFinding(
        "overlayfs", known or loadable, "present" if known or loadable else "not in this kernel", "modprobe overlay"
    )


def upper_layer(state: Path, mountinfo: Path = MOUNTS) -> HostFinding:
    """Whether the state folder's file system can hold machines' own layers."""
    point, kind = file_system(state, read_mounts(mountinfo))
    return HostFinding(
        "state folder",
        kind.partition(".")[0] not in NO_UPPER,
        f"{kind} at {point}",
        "choose a folder on ext4, xfs or btrfs with --state-dir",
    )


def file_system(path: Path, mountinfo: str) -> tuple[Path, str]:
    """The mount point and type of the file system ``path`` lies on (or would, once made)."""
    wanted = path.resolve()
    best = (Path("/"), "unknown")
    for line in mountinfo.splitlines():
        head, _, tail = line.partition(" - ")
        point = Path(unescape(head.split(" ")[4]))
        if (point == wanted or point in wanted.parents) and len(point.parts) >= len(best[0].parts):
            best = (point, tail.split(" ")[0])  # of mounts on one point the last is on top
    return best


def fuse(device: Path = Path("/dev/fuse")) -> HostFinding:
    return HostFinding("fuse", device.exists(), str(device) if device.exists() else "missing", "modprobe fuse")


def control_groups(root: Path = Path("/")) -> HostFinding:
    try:
        return HostFinding("control groups", True, f"version {detect(root).version}")
    except HostError as error:
        return HostFinding("control groups", False, error.what, error.hint)


def kernel_settings(root: Path = Path("/")) -> HostFinding:
    """Not a fault: what a lab changes for the whole computer while it stands."""
    changed = [f"{entry.setting.key} {entry.present} → {entry.setting.value}" for entry in differences(root)]
    return HostFinding(
        "kernel settings",
        True,
        f"a lab changes, until its removal: {', '.join(changed)}" if changed else "as a lab needs them",
    )


def archive() -> HostFinding:
    """Whether the default image can be built from where this computer's apt gets its packages."""
    try:
        mirrors, key = host_mirrors("debian"), keyring("debian")
    except HostError as error:
        return HostFinding("Debian archive", False, error.what, error.hint)
    return HostFinding(
        "Debian archive",
        True,
        f"{mirrors[0] if mirrors else 'the default mirror of mmdebstrap'}, checked with {key}",
    )


def network_features(run: Callable[[Sequence[str]], str] | None = None) -> tuple[HostFinding, ...]:
    """Make each kind of link in a namespace that vanishes at once: the only question whose answer is certain."""
    if os.geteuid() != 0:
        return tuple(HostFinding(name, False, "only root can tell", AS_ROOT) for name, _ in _FEATURES)
    ask = run or _complaint
    found = []
    for name, command in _FEATURES:
        complaint = ask(("unshare", "--net", *command.split()))
        found.append(HostFinding(name, not complaint, complaint or "present", f"modprobe {name}"))
    return tuple(found)


def bridge_filter(root: Path = Path("/")) -> HostFinding:
    """Whether neighbours on a node will reach each other through a Service."""
    present = filters(root)
    seen = "present" if present else "a lab loads it" if loadable(root) else "not in this kernel"
    return HostFinding("bridge filter", present or loadable(root), seen, f"modprobe {MODULE}")


def memory(meminfo: Path = Path("/proc/meminfo"), needed: int = 4 << 30) -> HostFinding:
    """Whether there is memory for a default lab, idle."""
    kibibytes = {
        line.partition(":")[0]: int(line.split()[1]) for line in meminfo.read_text(encoding="ascii").splitlines()
    }
    available = kibibytes.get("MemAvailable", 0) << 10
    return HostFinding(
        "memory", available >= needed, f"{available / (1 << 30):.1f} GiB available", "fewer or smaller machines"
    )


def space(folder: Path, needed: int = SPACE) -> HostFinding:
    present = next(path for path in (folder.resolve(), *folder.resolve().parents) if path.exists())
    free = shutil.disk_usage(present).free
    return HostFinding("disk space", free >= needed, f"{free / (1 << 30):.1f} GiB free at {present}", "make room there")


def _complaint(argv: Sequence[str]) -> str:
    """What a command says when it fails; empty when it doesn't."""
    try:
        done = subprocess.run(argv, capture_output=True, text=True, check=False, timeout=10)
    except (OSError, subprocess.TimeoutExpired) as error:
        return str(error)
    return "" if done.returncode == 0 else done.stderr.strip() or f"status {done.returncode}"
