"""Rules of the software: which releases and versions there is support for."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from urllib.parse import urlsplit

from groundplane.spec.draft import Draft
from groundplane.spec.problem import Path
from groundplane.spec.rules.finding import Finding

# Both have systemd ≥ 249, Python ≥ 3.10 and cloud-init ≥ 22, which the agent and the seed need.
RELEASES = {"debian": ("bookworm", "trixie"), "ubuntu": ("jammy", "noble")}

_IMAGE: Path = ("image",)
_VERSION: Path = ("kubernetes", "version")


def release_is_known(draft: Draft) -> Iterator[Finding]:
    image = draft.spec.image
    path: Path = (*_IMAGE, "release")
    if not draft.knows(path, (*_IMAGE, "distribution")) or image.release in RELEASES[image.distribution]:
        return
    known = " or ".join(RELEASES[image.distribution])
    if not draft.states(path):
        path = (*_IMAGE, "distribution")
        yield Finding(path, f"{image.distribution} needs a release stated", f"add `release: {known}`")
    else:
        owner = next((name for name, releases in RELEASES.items() if image.release in releases), None)
        remark = f": it is of {owner}" if owner else ""
        yield Finding(
            path, f"`{image.release}` is not a supported release of {image.distribution}{remark}", f"write {known}"
        )


def mirror_has_no_password(draft: Draft) -> Iterator[Finding]:
    mirror = draft.spec.image.mirror
    path: Path = (*_IMAGE, "mirror")
    if mirror is None or not draft.knows(path):
        return
    try:
        parts = urlsplit(mirror)
    except ValueError:
        yield Finding(path, "this is not an address", "write it as http://mirror.example/debian")
        return
    if "@" in parts.netloc:
        instead = "take the part before @ away; the file and the machines' source lists may be read by others"
        yield Finding(path, "the address has a user name or password in it", instead)
    elif parts.scheme in ("http", "https") and not parts.hostname:
        yield Finding(path, f"`{mirror}` names no host", "write it as http://mirror.example/debian")


def version_is_supported(draft: Draft, versions: Sequence[str]) -> Iterator[Finding]:
    """``versions`` are the supported ones, newest first."""
    version = draft.spec.kubernetes.version
    if not draft.knows(_VERSION) or version in versions:
        return
    bare = version.removeprefix("v")
    near = next((known for known in versions if known == bare or known.startswith(f"{bare}.")), None)
    near = near or next((known for known in versions if known.split(".")[:2] == bare.split(".")[:2]), None)
    instead = f"write {near}" if near else f"supported: {', '.join(versions)}"
    if near and len(versions) > 1:
        instead += f" (supported: {', '.join(versions)})"
    from groundplane.spec.problem import shown

    yield Finding(_VERSION, f"Kubernetes {shown(version)} is not supported", instead)
