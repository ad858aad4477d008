"""Where a machine is reached over SSH, as whom, and by which keys it is known."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

SSH_PORT: Final = 22


@dataclass(frozen=True, slots=True)
class Target:
    """One machine's door.

    ``host_keys`` is what ssh's known_hosts would hold (sshd(8), SSH_KNOWN_HOSTS FILE FORMAT), or such a file: a
    machine that proves none of these keys is refused, always. ``user`` runs the commands as they are; bringing a
    machine to a state needs root. ``key`` is the private key to log in with; None: what ssh-agent and ``~/.ssh`` hold.
    """

    host: str
    host_keys: Path | bytes = field(repr=False)
    port: int = SSH_PORT
    user: str = "root"
    key: Path | None = None

    @property
    def door(self) -> str:
        """Host and port in a user's words."""
        return self.host if self.port == SSH_PORT else f"{self.host} port {self.port}"

    @property
    def known_as(self) -> str:
        """What it is called in a known_hosts file."""
        return self.host if self.port == SSH_PORT else f"[{self.host}]:{self.port}"

    @property
    def source(self) -> str:
        """Where its host keys were read, in a user's words."""
        return str(self.host_keys) if isinstance(self.host_keys, Path) else "the keys kept for this platform"

    @property
    def credentials(self) -> str:
        """What we log in with, in a user's words."""
        return f"the key {self.key}" if self.key else "what ssh-agent and ~/.ssh hold"
