"""How a machine is started: systemd-nspawn's command line, and the two shells around it.

    unshare ─ in the machine's network; private mounts and process numbers; survives groundplane
    └─ sh   ─ process 1 of its namespace: mounts the root tree, starts nspawn, and again when the machine reboots
       └─ systemd-nspawn
          └─ systemd ─ the machine

The root tree's overlay is mounted in the private namespace alone, as are the machine's disks over its data folders: the
host's mount table never has them, and they go with the processes. The overlay has no index of its files: that one ties
the layers together, and a machine stands on others after an upgrade. Since ``sh`` is process 1 of a process namespace,
whatever ends it or nspawn ends every process of the machine: a killed machine can't live on without its manager. nspawn
is started inside the machine's network namespace although it is told of it besides: it mounts /sys before it enters
that one, and /sys/class/net shows the network of whoever mounted it.

Before a machine starts again its group is made anew, once everything has left it: what was run in the machine from
outside ends with it, but a moment later, or not at all while it is stopped by a terminal.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

REBOOT: Final = 133
"""nspawn's exit status for "start me again" under --keep-unit (EXIT_FORCE_RESTART in its source)."""

DROPPED: Final = ("CAP_SYS_MODULE", "CAP_SYS_TIME")
"""The host's kernel modules and the host's clock are not a machine's to change."""

_OUTER: Final = """\
joins=$1; net=$2; shift 2
for file in $joins; do echo 0 >"$file" || exit 1; done
set -- unshare --mount --propagation slave --pid --fork --kill-child=KILL --mount-proc "$@"
exec setsid --fork nsenter --net="$net" "$@"
"""
_SUPERVISE: Final = f"""\
cd "$1" || exit 1; joins=$2; shift 2
mount -t overlay -o index=off,lowerdir=layer:software:base,upperdir=upper,workdir=work overlay rootfs || exit 1
for disk in disks/*; do
  if [ -d "$disk" ]; then
    mode=$(stat --dereference --format=%a "$disk/folder")
    mount -o loop "$disk/image" "$disk/folder" && chmod "$mode" "$disk/folder" || exit 1
    rmdir "$disk/folder/lost+found" 2>/dev/null
  fi
done
while :; do
  for file in $joins; do
    group=${{file%/*}}
    if [ -d "$group" ]; then
      echo 1 >"$group/cgroup.kill"
      timeout 10 sh -c "while find '$group' -depth -type d -exec rmdir {{}} +; [ -d '$group' ]; do sleep 0.1; done"
    fi
    mkdir "$group" || exit 1
  done
  (for file in $joins; do echo 0 >"$file" || exit 1; done; exec "$@")
  status=$?
  if [ $status -ne {REBOOT} ]; then exit $status; fi
done
"""


@dataclass(frozen=True, slots=True)
class Bind:
    """A folder or file of the host that appears in the machine."""

    source: Path
    target: str
    read_only: bool = False

    @property
    def option(self) -> str:
        return f"--bind{'-ro' if self.read_only else ''}={_escaped(str(self.source))}:{_escaped(self.target)}"


@dataclass(frozen=True, slots=True)
class Container:
    """One machine as nspawn needs it. ``namespace`` is the network namespace's file, ``uuid`` 32 hex digits."""

    name: str
    hostname: str
    uuid: str
    folder: Path
    namespace: Path
    binds: tuple[Bind, ...]
    cgroup_version: int


def command(container: Container) -> tuple[str, ...]:
    """systemd-nspawn's argv. See systemd-nspawn(1); variables are in systemd's ENVIRONMENT.md."""
    legacy = container.cgroup_version == 1
    return (
        "env",
        "--ignore-environment",
        "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
        f"SYSTEMD_NSPAWN_UNIFIED_HIERARCHY={0 if legacy else 1}",
        "SYSTEMD_NSPAWN_LOCK=0",  # groundplane has its own lock, and a lock file would outlive a kill
        "systemd-nspawn",
        "--quiet",
        "--boot",
        "--settings=no",
        "--register=no",
        "--keep-unit",
        "--console=read-only",
        f"--directory={container.folder / 'rootfs'}",
        f"--machine={container.name}",
        f"--hostname={container.hostname}",
        f"--uuid={container.uuid}",
        f"--network-namespace-path={container.namespace}",
        "--resolv-conf=off",
        "--timezone=off",
        "--link-journal=no",
        "--capability=all",
        f"--drop-capability={','.join(DROPPED)}",
        "--system-call-filter=@known",
        "--bind=/dev/fuse",
        "--bind-ro=/dev/kmsg",
        *(bind.option for bind in container.binds),
        # Read by the machine's systemd as if it were the kernel's command line; from 257 on it refuses version 1
        # without the word, and older ones don't know it.
        *(("SYSTEMD_CGROUP_ENABLE_LEGACY_FORCE=1",) if legacy else ()),
    )


def launch(container: Container, *, outer: Sequence[Path], inner: Sequence[Path]) -> tuple[str, ...]:
    """The whole argv that starts a machine. It ends at once and leaves the machine behind, detached.

    By the time it has ended, the machine's first process is in its control groups; later failures show as a group
    that is empty again. Its output and error are the console log.

    ``outer`` and ``inner`` are the files to join the control groups by (Cgroups.outer and .inner); their paths
    hold no blanks, as they consist of mount points of the kernel's and of host names.
    """
    return (
        *("/bin/sh", "-c", _OUTER, "groundplane-lab", _words(outer), str(container.namespace)),
        *("/bin/sh", "-c", _SUPERVISE, "groundplane-lab", str(container.folder), _words(inner)),
        *command(container),
    )


def _words(paths: Sequence[Path]) -> str:
    return " ".join(str(path) for path in paths)


def _escaped(path: str) -> str:
    """nspawn splits --bind at colons unless a backslash precedes them."""
    return path.replace("\\", "\\\\").replace(":", "\\:")
