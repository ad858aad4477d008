"""Runs one program of a machine's own root tree on that machine's rendered files, in namespaces of its own.

The rendered tree lies over the software bundle's, and that over the base image, as on the machine. All mounts, and
whatever the program writes, are gone with the program: nothing of the trees is changed, no machine boots.
"""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

_ENTER = """
set -e
work=$1 layers=$2 name=$3; shift 3
mount -t tmpfs tmpfs "$work"
mkdir "$work/upper" "$work/work" "$work/root"
root=$work/root
mount -t overlay overlay -o "lowerdir=$layers,upperdir=$work/upper,workdir=$work/work" "$root"
mount -t proc proc "$root/proc"
mount -t tmpfs tmpfs "$root/run"
mount -t tmpfs tmpfs "$root/dev"
for node in null zero random urandom; do touch "$root/dev/$node"; mount --bind "/dev/$node" "$root/dev/$node"; done
ip link set lo up
echo "$name" > /proc/sys/kernel/hostname
exec chroot "$root" "$@"
"""


@dataclass(frozen=True, slots=True)
class Ground:
    """What machines stand on: the base image's root tree and the bundle's software tree."""

    image: Path
    software: Path

    def run(
        self, machine: str, tree: Path, work: Path, argv: Sequence[str], *, timeout: float = 60
    ) -> subprocess.CompletedProcess[str]:
        """Run ``argv`` where ``tree`` is ``machine``'s, whose name the program finds as its host's; ``work`` is an
        empty folder to mount things on, ``timeout`` in seconds."""
        layers = ":".join(str(layer) for layer in (tree, self.software, self.image))
        unshare = ["unshare", "--mount", "--net", "--uts", "--pid", "--fork", "--propagation", "private"]
        return subprocess.run(
            [*unshare, "sh", "-c", _ENTER, "sh", str(work), layers, machine, *argv],
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
            env={"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "LANG": "C.UTF-8"},
        )
