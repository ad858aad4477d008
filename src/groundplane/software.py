"""The software a platform is built of: its version, what its images are called, and the programs its machines run.

The names come from the data of a version, ``bundle/versions/<kubernetes>/versions.toml``; what the programs hold is
known once a bundle is at hand, and is remembered by the platform that was built of it.
"""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Final

from groundplane.errors import BundleError

DEFAULT_VERSION: Final = "1.37.2"
"""The Kubernetes version of a platform whose file names none."""

DATA: Final = Path(__file__).parent / "bundle"


@dataclass(frozen=True, slots=True)
class Program:
    """A program of the bundle as a machine has it: at ``path``, ``size`` bytes with the sha256 ``digest``, written as
    OCI does (``sha256:`` and 64 hex digits)."""

    path: str
    digest: str
    size: int


@dataclass(frozen=True, slots=True)
class Image:
    """An image as the registry has it: its full reference, and the digest of what that names. Of what a bundle has, the
    digest is the bundle's affair and empty here."""

    reference: str
    digest: str


@dataclass(frozen=True, slots=True)
class Software:
    """One Kubernetes version as the platform's configuration must name it, so that it finds exactly these images.

    kubeadm has its own idea of the etcd and CoreDNS tags of a release; the tags here go into its
    ``etcd.local.imageTag`` and ``dns.imageTag``, the rest into containerd's and flannel's configuration.
    ``programs`` is empty where nobody knows yet what they hold: nothing was built. ``own_images`` are the user's.
    """

    kubernetes: str
    image_repository: str
    etcd_tag: str
    coredns_repository: str
    coredns_tag: str
    pause_image: str
    flannel_image: str
    probe_image: str
    programs: tuple[Program, ...] = ()
    own_images: tuple[Image, ...] = ()

    @property
    def images(self) -> tuple[str, ...]:
        """Every image the platform itself may run, as full references."""
        core = ("kube-apiserver", "kube-controller-manager", "kube-proxy", "kube-scheduler")
        return (
            *(f"{self.image_repository}/{name}:v{self.kubernetes}" for name in core),
            f"{self.image_repository}/etcd:{self.etcd_tag}",
            f"{self.coredns_repository}/coredns:{self.coredns_tag}",
            self.pause_image,
            self.flannel_image,
            self.probe_image,
        )


@cache
def known_versions(data: Path = DATA) -> tuple[str, ...]:
    """The Kubernetes versions there's data for, newest first."""
    found = [path.parent.name for path in (data / "versions").glob("*/versions.toml")]
    return tuple(sorted(found, key=_order, reverse=True))


@cache
def software_of(version: str, data: Path = DATA) -> Software:
    """What a version's images are called; raises BundleError for an unknown one."""
    if version not in known_versions(data):
        raise BundleError(
            f"Kubernetes {version} is not among the versions groundplane knows",
            hint=f"choose one of {', '.join(known_versions(data))}",
        )
    with (data / "versions" / version / "versions.toml").open("rb") as file:
        raw = tomllib.load(file)
    return Software(kubernetes=raw["kubernetes"], **raw["settings"])


def _order(version: str) -> tuple[int, ...]:
    return tuple(int(number) for number in version.split("."))
