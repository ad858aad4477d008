"""Runs on a node: compares the images containerd has with what the platform's own registry serves by their names.

Prints how many names there are, then a line ``NAME|WHAT IS WRONG`` for each that isn't the registry's.
"""

from __future__ import annotations

import http.client
import json
import ssl
import subprocess
import sys
from collections.abc import Callable, Collection, Iterable, Iterator
from urllib.parse import quote

TIMEOUT = 5.0
ACCEPT = ", ".join(
    (
        "application/vnd.oci.image.index.v1+json",
        "application/vnd.oci.image.manifest.v1+json",
        "application/vnd.docker.distribution.manifest.list.v2+json",
        "application/vnd.docker.distribution.manifest.v2+json",
    )
)


def images(listing: str) -> tuple[tuple[str, str], ...]:
    """(name, digest) of every line but the head of what ``ctr images ls`` prints: ``REF TYPE DIGEST SIZE …``."""
    lines = (line.split() for line in listing.splitlines()[1:])
    return tuple((fields[0], fields[2]) for fields in lines if len(fields) > 2)


def parts(name: str, registry: str) -> tuple[str, str]:
    """The repository, and the reference, of ``host/repository:tag`` or ``host/repository@digest``."""
    bare = name[len(registry) + 1 :] if name.startswith(f"{registry}/") else name
    repository, mark, reference = bare.partition("@")
    if not mark:
        repository, _, reference = bare.rpartition(":")
    return repository, reference


def wrong(
    found: Iterable[tuple[str, str]],
    served: Callable[[str], str],
    registry: str,
    *,
    others: bool,
    ours: Collection[str] = (),
) -> Iterator[tuple[str, str]]:
    """Each name that isn't the registry's, and why. ``served`` gives the digest at a path, empty where there is none.

    containerd knows each image once more by ``sha256:`` and its configuration's digest: such a name is good where
    another one of the same digest is. With ``others`` images that the registry has not may come from elsewhere, but
    none may bear the name of one it has. Nor need it have all that there ever were in the repositories that are
    ``ours``: those of an earlier bundle stay on a node until it needs the room.
    """
    good, nameless = set(), []
    for name, digest in found:
        if name.startswith("sha256:"):
            nameless.append((name, digest))
            continue
        repository, reference = parts(name, registry)
        answer = served(f"/v2/{quote(repository)}/manifests/{quote(reference, safe=':')}")
        if answer == digest or (not answer and repository in ours):
            good.add(digest)
        elif answer:
            yield name, f"is {digest}, the registry serves {answer}"
        elif not others:
            yield name, "is not in the registry"
    if not others:
        yield from ((name, "belongs to no image of the registry") for name, digest in nameless if digest not in good)


def main() -> None:
    wanted = json.load(sys.stdin)
    trust = ssl.create_default_context(cafile=wanted["authority"])
    connection = http.client.HTTPSConnection(wanted["registry"], context=trust, timeout=TIMEOUT)

    def served(path: str) -> str:
        try:
            connection.request("HEAD", path, headers={"Accept": ACCEPT})
            answer = connection.getresponse()
        except OSError as error:
            sys.exit(f"the registry can't be asked: {error}")
        answer.read()
        if answer.status == 404:
            return ""
        if answer.status != 200:
            sys.exit(f"the registry answers {answer.status} for {path}")
        return answer.headers["Docker-Content-Digest"] or ""

    listing = subprocess.run(
        ["ctr", "--namespace=k8s.io", "images", "ls"], capture_output=True, text=True, check=True, timeout=20
    ).stdout
    found = images(listing)
    print(len(found))
    for name, problem in wrong(found, served, wanted["registry"], others=wanted["others"], ours=wanted["ours"]):
        print(f"{name}|{problem}")


if __name__ == "__main__":
    main()
