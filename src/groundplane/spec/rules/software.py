"""Rules of the software: which releases and versions there is support for."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from ipaddress import IPv4Address
from typing import Final
from urllib.parse import urlsplit

from groundplane.spec.draft import Draft
from groundplane.spec.problem import Path, shown
from groundplane.spec.remedy import Remedy, write
from groundplane.spec.rules.violation import Violation

# Both have systemd ≥ 249, Python ≥ 3.10 and cloud-init ≥ 22, which the agent and the seed need.
RELEASES: Final[Mapping[str, tuple[str, ...]]] = {"debian": ("bookworm", "trixie"), "ubuntu": ("jammy", "noble")}

# Underscores aren't for host names, but resolvers take them.
_LABEL = re.compile(r"[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?")

_IMAGE: Path = ("image",)
_VERSION: Path = ("kubernetes", "version")


def release_is_known(draft: Draft) -> Iterator[Violation]:
    image = draft.spec.image
    path: Path = (*_IMAGE, "release")
    if not draft.knows(path, (*_IMAGE, "distribution")) or image.release in RELEASES[image.distribution]:
        return
    releases = RELEASES[image.distribution]
    known = " or ".join(releases)
    ways = tuple(((path, release),) for release in releases)
    if not draft.states(path):
        message = f"{image.distribution} needs a release stated"
        remedies = (Remedy(f"add `release: {known}`", ways),)
        yield Violation((*_IMAGE, "distribution"), message, "add `release`", remedies=remedies)
    else:
        owner = next((name for name, releases in RELEASES.items() if image.release in releases), None)
        remark = f": it is of {owner}" if owner else ""
        message = f"`{shown(image.release)}` is not a supported release of {image.distribution}{remark}"
        yield Violation(path, message, f"supported: {known}", remedies=(Remedy(f"write {known}", ways),))


def mirror_is_an_address(draft: Draft) -> Iterator[Violation]:
    """An address of an archive that apt can ask, and that may stand in source lists which everybody can read."""
    mirror = draft.spec.image.mirror
    path: Path = (*_IMAGE, "mirror")
    if mirror is None or not draft.knows(path):
        return
    form = "http://mirror.example/debian"
    written = (write(path, form, f"write it as {form}"),)
    try:
        parts = urlsplit(mirror)
        port = parts.port
    except ValueError:
        message = f"`{shown(mirror)}` is not an address: its host or its port (1 to 65535) can't be"
        yield Violation(path, message, "write the archive's address", remedies=written)
        return
    if "@" in parts.netloc:
        instead = "take the part before @ away; the file and the machines' source lists may be read by others"
        yield Violation(path, "the address has a user name or password in it", instead)
    elif parts.scheme in ("http", "https") and not parts.hostname:
        yield Violation(path, f"`{shown(mirror)}` names no host", "write the archive's address", remedies=written)
    elif parts.scheme in ("http", "https") and not _is_host(parts.hostname or ""):
        message = f"`{shown(parts.hostname)}` in it is neither a host's name nor an IPv4 address"
        yield Violation(path, message, "write the archive's address", remedies=written)
    elif port == 0:
        yield Violation(path, f"`{shown(mirror)}` has the port 0", "write the archive's port, or leave it out")


def _is_host(host: str) -> bool:
    """Whether a resolver can be asked for ``host``, or need not be. Who ends in digits is an address to all of them."""
    labels = host.removesuffix(".").split(".")
    if labels[-1].isdecimal():
        try:
            return bool(IPv4Address(host))
        except ValueError:
            return False
    return len(host) <= 254 and all(_LABEL.fullmatch(label) for label in labels)


def version_is_supported(draft: Draft, versions: Sequence[str]) -> Iterator[Violation]:
    """``versions`` are the supported ones, newest first."""
    version = draft.spec.kubernetes.version
    if not draft.knows(_VERSION) or version in versions:
        return
    bare = version.removeprefix("v")
    near = next((known for known in versions if known == bare or known.startswith(f"{bare}.")), None)
    near = near or next((known for known in versions if known.split(".")[:2] == bare.split(".")[:2]), None)
    instead = f"supported: {', '.join(versions)}"
    words = f"write {near} ({instead})" if len(versions) > 1 else f"write {near}"
    remedies = (write(_VERSION, near, words),) if near else ()
    yield Violation(_VERSION, f"Kubernetes {shown(version)} is not supported", instead, remedies=remedies)
