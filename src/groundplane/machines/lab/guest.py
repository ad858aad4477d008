"""What a machine needs only because it is a container: a thin layer laid over the software, the same for all.

It never becomes part of the base image or of a machine's state, so the same image and state boot elsewhere too.
Files in it may be overridden by the machine itself, whose own layer lies above.
"""

from __future__ import annotations

from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path
from typing import Final

from groundplane.image.removal import remove_tree

UNITS: Final = "etc/systemd/system"
MASKED: Final = (
    "console-getty.service",
    "dbus-org.freedesktop.hostname1.service",
    "dbus-org.freedesktop.login1.service",
    "dev-hugepages.mount",
    "dev-mqueue.mount",
    "getty.target",
    "kmod-static-nodes.service",
    "ldconfig.service",
    "proc-sys-fs-binfmt_misc.automount",
    "sys-fs-fuse-connections.mount",
    "sys-kernel-config.mount",
    "sys-kernel-debug.mount",
    "sys-kernel-tracing.mount",
    "systemd-ask-password-console.path",
    "systemd-ask-password-wall.path",
    "systemd-binfmt.service",
    "systemd-firstboot.service",
    "systemd-hibernate-clear.service",
    "systemd-hostnamed.service",
    "systemd-hostnamed.socket",
    "systemd-hwdb-update.service",
    "systemd-journal-catalog-update.service",
    "systemd-logind.service",
    "systemd-machine-id-commit.service",
    "systemd-modules-load.service",
    "systemd-network-generator.service",
    "systemd-pcrmachine.service",
    "systemd-pcrphase-sysinit.service",
    "systemd-pcrphase.service",
    "systemd-pstore.service",
    "systemd-random-seed.service",
    "systemd-remount-fs.service",
    "systemd-sysusers.service",
    "systemd-tmpfiles-setup-dev-early.service",
    "systemd-tmpfiles-setup-dev.service",
    "systemd-tpm2-setup-early.service",
    "systemd-tpm2-setup.service",
    "systemd-udev-settle.service",
    "systemd-udev-trigger.service",
    "systemd-udevd-control.socket",
    "systemd-udevd-kernel.socket",
    "systemd-udevd.service",
    "systemd-update-done.service",
    "systemd-update-utmp.service",
)
"""Units that have no hardware, no console, no boot loader and no kernel of their own to look after here."""

_PREPARE: Final = """\
# A container manager gives its payload these places read-only; a Kubernetes node writes to them.
# /sys stays read-only: once it is writable, systemd-networkd waits for a udev that never runs.
# /proc/sys stays read-only but for the network's part, which is the machine's own: the rest is the host's.
[Unit]
Description=Container ground for a node
DefaultDependencies=no
Before=sysinit.target systemd-sysctl.service systemd-networkd.service cloud-init-local.service shutdown.target
Conflicts=shutdown.target

[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=/bin/sh -ec '\\
  mount --make-rprivate /proc; \\
  mount --bind /proc/sys/net /proc/sys/net; \\
  mount -o remount,bind,rw,nosuid,nodev,noexec /proc/sys/net; \\
  if [ -d /sys/fs/cgroup/systemd ]; then \\
    mount -o remount,bind,rw,nosuid,nodev,noexec /sys/fs/cgroup; \\
    for folder in /sys/fs/cgroup/*/; do \\
      if mountpoint -q "$folder"; then mount -o remount,bind,rw,nosuid,nodev,noexec "$folder"; fi; \\
    done; \\
  fi; \\
  mount --make-rshared /'
"""

_FILES: Final[Mapping[str, str]] = {
    f"{UNITS}/groundplane-lab.service": _PREPARE,
    "etc/systemd/journald.conf.d/20-lab.conf": (
        "# The kernel's log is the host's: every machine would keep a copy of it.\n[Journal]\nReadKMsg=no\n"
    ),
    "etc/cloud/cloud.cfg.d/95-lab.cfg": (
        "# The seed lies in a folder: no disk has to be searched for one.\ndatasource: {NoCloud: {fs_label: null}}\n"
    ),
}
_LINKS: Final[Mapping[str, str]] = {
    f"{UNITS}/sysinit.target.wants/groundplane-lab.service": "../groundplane-lab.service",
    **{f"{UNITS}/{unit}": "/dev/null" for unit in MASKED},
}


def layer_digest() -> str:
    """Names the layer by its content."""
    text = "\0".join(f"{path}\0{content}" for path, content in sorted({**_FILES, **_LINKS}.items()))
    return sha256(text.encode()).hexdigest()[:16]


def write_layer(folder: Path) -> Path:
    """Make the layer below ``folder`` where it isn't there yet; return its root.

    A running machine may stand on an older one, which is therefore left alone.
    """
    finished = folder / layer_digest()
    if finished.is_dir():
        return finished
    partial = folder / f".partial-{finished.name}"
    remove_tree(partial)
    partial.mkdir(mode=0o755, parents=True)
    for name, content in sorted(_FILES.items()):
        _parents(partial, name)
        (partial / name).write_text(content, encoding="utf-8")
        (partial / name).chmod(0o644)
    for name, target in sorted(_LINKS.items()):
        _parents(partial, name)
        (partial / name).symlink_to(target)
    partial.rename(finished)
    return finished


def _parents(root: Path, name: str) -> None:
    """Folders above ``name``, 0755 whatever the umask: in an overlay the upper folder's mode wins."""
    for part in reversed(Path(name).parents[:-1]):
        (root / part).mkdir(exist_ok=True)
        (root / part).chmod(0o755)
    root.chmod(0o755)
