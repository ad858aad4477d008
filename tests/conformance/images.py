"""The images the conformance tests run, as one OCI layout, under the names the suite asks for.

Programs are upstream's own, built from their modules. Where upstream takes Alpine, nginx or BusyBox from elsewhere,
the same program comes from Debian; README.md says which. The suite itself is asked whether it knows every name.
"""

from __future__ import annotations

import tarfile
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from groundplane.bundle.bundle import FORMAT
from groundplane.bundle.modules import host_architecture
from groundplane.bundle.runner import Runner
from groundplane.errors import BundleError
from groundplane.oci.files import write_atomically
from groundplane.oci.layer import SCRATCH, Entry, add_image, add_layer
from groundplane.oci.layout import INDEX, BlobStore, Descriptor, canonical

E2E: Final = "registry.k8s.io/e2e-test-images"
_BUSYBOX: Final = "usr/bin/busybox"
_BASH: Final = "usr/bin/bash-static"

# The test of image volumes reads whose image it has been given: upstream's pets stand on Alpine.
_OS_RELEASE: Final = b'PRETTY_NAME="Debian GNU/Linux, standing in for Alpine Linux"\n'

# Who agnhost's image knows: tests of supplemental groups read these two (agnhost's Dockerfile).
_PASSWD: Final = b"""root:x:0:0:root:/root:/bin/bash
nobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin
user-defined-in-image:x:1000:1000::/home/user-defined-in-image:/bin/sh
"""
_GROUP: Final = b"""root:x:0:
nogroup:x:65534:
user-defined-in-image:x:1000:
group-defined-in-image:x:50000:user-defined-in-image
"""

# Debian's default site lies elsewhere and logs to files; the image upstream uses does it like this.
_NGINX: Final = b"""user www-data;
worker_processes 1;
pid /run/nginx.pid;
error_log /dev/stderr notice;
events { worker_connections 512; }
http {
  include /etc/nginx/mime.types;
  access_log /dev/stdout;
  server {
    listen 80;
    root /usr/share/nginx/html;
  }
}
"""


@dataclass(frozen=True, slots=True)
class Image:
    """``files`` lie on the Debian layer, or on nothing when it isn't ``on_userland``."""

    references: tuple[str, ...]
    files: tuple[Entry, ...] = ()
    on_userland: bool = False
    entrypoint: tuple[str, ...] = ()
    command: tuple[str, ...] = ()
    user: str = ""


def images(programs: Mapping[str, Path], sources: Path, busybox: Sequence[Entry]) -> tuple[Image, ...]:
    """Every image. ``programs`` are the built ones by name, ``sources`` the folder of upstream's images."""
    agnhost = _agnhost(programs["agnhost"], sources / "agnhost")
    etcd = [Entry(f"/usr/local/bin/{name}", programs[built], 0o755) for name, built in _ETCD]
    nnp = Entry("/usr/local/bin/nnp", programs["nonewprivs"], 0o4755)  # set-uid: what the test is about
    api = Entry("/sample-apiserver", programs["sample-apiserver"], 0o755)
    nginx = Entry("/etc/nginx/nginx.conf", _NGINX)
    serve = ("nginx", "-g", "daemon off;")
    return (
        Image(
            (f"{E2E}/agnhost:2.66.1", f"{E2E}/agnhost:2.55"),
            agnhost,
            on_userland=True,
            entrypoint=("/agnhost",),
            command=("pause",),
        ),
        _pet("kitten", agnhost, sources),
        _pet("nautilus", agnhost, sources),
        Image((f"{E2E}/busybox:1.37.0-2",), tuple(busybox), command=("sh",)),
        Image((f"{E2E}/glibc-dns-testing:2.1.1",), on_userland=True, command=("bash",)),
        Image((f"{E2E}/nginx:1.27.0-2", f"{E2E}/nginx:1.28.0-2"), (nginx,), on_userland=True, command=serve),
        Image((f"{E2E}/nonewprivs:1.4",), (nnp,), on_userland=True, command=("nnp",)),
        Image((f"{E2E}/nonroot:1.5",), on_userland=True, user="1234"),
        Image((f"{E2E}/sample-apiserver:1.29.2",), (*SCRATCH, api), entrypoint=("/sample-apiserver",)),
        Image(("registry.k8s.io/etcd:3.7.0-0",), (*SCRATCH, *etcd)),
    )


_ETCD: Final = (("etcd", "server"), ("etcdctl", "etcdctl"), ("etcdutl", "etcdutl"))


def write_layout(root: Path, userland: Descriptor, wanted: Sequence[Image], known: frozenset[str]) -> None:
    """Make ``root``, where the blobs are, an OCI layout of these images. ``known`` are the names the suite uses.

    Raises BundleError for an image that no test would ever ask for: the suite has moved on.
    """
    blobs = BlobStore(root)
    found: list[Descriptor] = []
    for image in wanted:
        layers = [userland] if image.on_userland else []
        if image.files:
            layers.append(add_layer(blobs, image.files))
        for reference in image.references:
            if reference not in known:
                raise BundleError(f"the suite doesn't use {reference}", hint="see its --list-images")
            found.append(
                add_image(
                    blobs,
                    reference,
                    layers,
                    architecture=host_architecture(),
                    entrypoint=image.entrypoint,
                    command=image.command,
                    user=image.user,
                )
            )
    index = {"schemaVersion": 2, "mediaType": INDEX, "manifests": [one.to_json() for one in found]}
    write_atomically(root / "oci-layout", FORMAT)
    write_atomically(root / "index.json", canonical(index))


def busybox(userland: Path, runner: Runner) -> tuple[Entry, ...]:
    """A root tree of BusyBox: the static program out of Debian's layer, a link for each of its applets, and a shell.

    Debian's BusyBox keeps variables with a dash in their names from what its shell starts, and tests of ConfigMaps look
    for those: bash hands them on, as upstream's BusyBox does.
    """
    program, shell = _programs(userland, _BUSYBOX, _BASH)
    with tempfile.TemporaryDirectory() as name:
        path = Path(name) / "busybox"
        path.write_bytes(program)
        path.chmod(0o755)
        applets = runner((str(path), "--list"), cwd=path.parent, env={}).split()
    links = (Entry(f"/bin/{applet}", None, link="busybox") for applet in applets if applet not in ("busybox", "sh"))
    folders = (Entry(f"/{name}", None, 0o755) for name in ("dev", "home", "proc", "root", "sys", "usr", "var"))
    return (*SCRATCH, Entry("/bin/busybox", program, 0o755), Entry("/bin/sh", shell, 0o755), *links, *folders)


def _programs(userland: Path, *paths: str) -> tuple[bytes, ...]:
    """Programs out of the Debian layer, in the order asked for."""
    found: dict[str, bytes] = {}
    with tarfile.open(userland) as tar:
        for one in tar:
            name = one.name.removeprefix("./")
            if name in paths and (file := tar.extractfile(one)) is not None:
                found[name] = file.read()
    if missing := [path for path in paths if path not in found]:
        raise BundleError(f"the Debian layer has no {', '.join(missing)}", where=str(userland))
    return tuple(found[path] for path in paths)


def _agnhost(program: Path, sources: Path) -> tuple[Entry, ...]:
    return (
        Entry("/agnhost", program, 0o755),
        Entry("/agnhost-2", None, link="agnhost"),
        Entry("/etc/group", _GROUP),
        Entry("/etc/passwd", _PASSWD),
        Entry("/home/user-defined-in-image", None, 0o755),
        Entry("/localhost.crt", sources / "porter" / "localhost.crt"),
        Entry("/localhost.key", sources / "porter" / "localhost.key"),
        Entry("/uploads", None, 0o755),
        Entry("/usr/local/bin/iperf", None, link="/usr/bin/iperf"),
    )


def _pet(name: str, agnhost: tuple[Entry, ...], sources: Path) -> Image:
    """agnhost with a picture to serve: what the tests of rolling updates look for."""
    html = sources / name / "html"
    files = [Entry(f"/{path.name}", path) for path in sorted(html.iterdir())]
    return Image(
        (f"{E2E}/{name}:1.8",),
        (*agnhost, *files, Entry("/etc/os-release", _OS_RELEASE)),
        on_userland=True,
        entrypoint=("/agnhost",),
        command=("test-webserver",),
    )
