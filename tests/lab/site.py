"""A mirror of the official downloads, made from a bundle: for places that have a file server but no internet.

The folder has one sub-folder per host the official addresses name; with ``mirrors`` pointing there, the
``release`` source gets the same programs back.
"""

from __future__ import annotations

import tarfile
from pathlib import Path
from urllib.parse import urlsplit

from groundplane.bundle.bundle import Bundle
from groundplane.bundle.modules import host_architecture
from groundplane.bundle.versions import PartSpec, ReleaseFile, Versions
from groundplane.oci.files import digest_of
from groundplane.oci.layer import EPOCH


def make_site(bundle: Bundle, versions: Versions, folder: Path) -> tuple[tuple[str, Path], ...]:
    """Lay out every published download of ``versions`` below ``folder``; (host, its folder) for each host."""
    hosts: dict[str, Path] = {}
    for part in versions.parts:
        for file in part.release_files:
            url = urlsplit(_here(file.url))
            hosts[url.netloc] = folder / url.netloc
            target = folder / url.netloc / url.path.lstrip("/")
            target.parent.mkdir(parents=True, exist_ok=True)
            _write(bundle, part, file, target)
            checksum = folder / urlsplit(_here(file.checksum)).netloc / urlsplit(_here(file.checksum)).path[1:]
            checksum.write_text(f"{digest_of(target).removeprefix('sha256:')}  {target.name}\n")
    return tuple(sorted(hosts.items()))


def _write(bundle: Bundle, part: PartSpec, file: ReleaseFile, target: Path) -> None:
    blobs = {one.name: bundle.blobs.path(one.digest) for one in bundle.binaries if one.part == part.name}
    if any(member == "" for _, member in file.outputs):
        target.unlink(missing_ok=True)
        target.hardlink_to(blobs[file.outputs[0][0]])
        return
    with tarfile.open(target, "w:gz", compresslevel=1) as archive:
        for name, member in file.outputs:
            info = tarfile.TarInfo(_here(member))
            info.size, info.mode, info.mtime = blobs[name].stat().st_size, 0o755, EPOCH
            with blobs[name].open("rb") as content:
                archive.addfile(info, content)


def _here(address: str) -> str:
    return address.replace("{arch}", host_architecture())
