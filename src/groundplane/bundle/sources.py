"""What a source of parts is, and where sources ask. ``obtain`` knows which there are."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal, Protocol

from groundplane.bundle.record import PartRecord
from groundplane.bundle.versions import PartSpec

SourceName = Literal["auto", "file", "release", "modules"]


@dataclass(frozen=True, slots=True)
class Mirrors:
    """Where to ask instead of the official addresses.

    ``registries`` are (registry host, base address), such as ``("ghcr.io", "http://10.0.0.2:5000/v2/ghcr.io")``;
    ``files`` are (host, base address) for downloads, such as ``("dl.k8s.io", "http://10.0.0.2/k8s")``;
    ``debian`` is the package mirror, if not this machine's own.
    """

    registries: tuple[tuple[str, str], ...] = ()
    files: tuple[tuple[str, str], ...] = ()
    debian: str = ""


OFFICIAL: Final = Mirrors()


class Source(Protocol):
    """A way to come by parts. ``base`` is the finished part whose layer lies below some of the part's images."""

    @property
    def name(self) -> str: ...

    def offers(self, part: PartSpec) -> bool:
        """Whether this source has the part at all."""
        ...

    def base_for(self, part: PartSpec) -> str:
        """The part that must come first, because some images are put on its layer here; "" for none."""
        ...

    def key(self, part: PartSpec, base: PartRecord | None) -> str:
        """What decides the bytes ``provide`` would give; the same key never needs a second run."""
        ...

    def prepare(self, part: PartSpec) -> None:
        """Fetch ahead; may run in another thread, beside another part's ``provide``."""
        ...

    def provide(self, part: PartSpec, base: PartRecord | None) -> PartRecord:
        """Store the part's blobs and say what they are; raises BundleError."""
        ...
