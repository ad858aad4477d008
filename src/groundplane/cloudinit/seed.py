"""The NoCloud seed of a machine: the files cloud-init reads at first boot."""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import sha256


@dataclass(frozen=True, slots=True)
class Seed:
    """The three NoCloud files. They hold secrets: keep them 0600."""

    meta_data: bytes
    user_data: bytes
    network_config: bytes

    @property
    def digest(self) -> str:
        """sha256 over the three, hex: the machine's first-boot identity."""
        return sha256(b"\0".join((self.meta_data, self.user_data, self.network_config))).hexdigest()

    def __repr__(self) -> str:
        return f"Seed({self.digest[:12]})"
