"""A minimal Debian layer for the few programs that call nft, iptables and conntrack.

mmdebstrap takes the packages from where this machine's apt takes Debian; with SOURCE_DATE_EPOCH the same
package versions give the same tar. /dev stays out of it: a runtime makes its own, and a container host
that may not make device nodes could not unpack them.
"""

from __future__ import annotations

import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from groundplane.bundle.apt import deb_lines, keyring
from groundplane.bundle.record import SbomComponent
from groundplane.bundle.runner import Runner, Watcher
from groundplane.bundle.versions import PartSpec
from groundplane.errors import BundleError
from groundplane.oci.layer import EPOCH

_WITHOUT: Final = (
    "path-exclude=/usr/share/man/*",
    "path-exclude=/usr/share/locale/*",
    "path-exclude=/usr/share/doc/*",
    "path-include=/usr/share/doc/*/copyright",
)


def build_layer(runner: Runner, part: PartSpec, out: Path, *, mirror: str, trust: Path | None, watch: Watcher) -> Path:
    """The tar of an essential Debian plus the part's packages, in the folder ``out``.

    Without a ``mirror`` and a keyring to ``trust``, this machine's own are taken; where its apt knows no Debian
    mirror (an Ubuntu machine), mmdebstrap takes its own default.
    """
    mirrors = (mirror,) if mirror else deb_lines("debian", part.suite, ("main",))
    tar = out / "layer.tar"
    # Its chroot stays in mmdebstrap's own temporary folder, for it to remove: removing a tree in which a killed
    # mmdebstrap left /dev mounted would remove this machine's devices.
    argv = (
        "mmdebstrap",
        "--variant=essential",
        f"--keyring={trust or keyring('debian')}",
        f"--include={','.join(part.include)}",
        *(f"--dpkgopt={option}" for option in _WITHOUT),
        "--skip=output/dev",
        part.suite,
        str(tar),
        *mirrors,
    )
    try:
        runner(argv, cwd=out, env={"SOURCE_DATE_EPOCH": str(EPOCH)}, watch=watch)
    except BundleError as error:
        raise BundleError(
            "the Debian base of some images can't be built",
            where=part.name,
            hint=error.hint or "check that this machine's apt reaches its mirror",
            detail=error.detail,
        ) from error
    return tar


def packages(tar: Path) -> tuple[SbomComponent, ...]:
    """The Debian packages in a root tree's tar, from dpkg's status file in it."""
    with tarfile.open(tar) as tree:
        for member in tree:
            if member.name.removeprefix("./") == "var/lib/dpkg/status":
                file = tree.extractfile(member)
                if file is not None:
                    return tuple(parse_status(file.read().decode()))
    raise BundleError("not a Debian root tree: it has no dpkg status", where=str(tar))


def parse_status(text: str) -> Iterator[SbomComponent]:
    """The packages of a dpkg status file, in its order."""
    for stanza in text.strip().split("\n\n"):
        pairs = (line.partition(": ")[::2] for line in stanza.splitlines() if line[:1] not in {" ", ""})
        fields = dict(pairs)
        name, version, arch = fields["Package"], fields["Version"], fields["Architecture"]
        yield SbomComponent(name, version, f"pkg:deb/debian/{name}@{version}?arch={arch}&distro=debian")
