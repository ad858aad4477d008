"""Reading ``ss``: what listens where."""

from __future__ import annotations

from dataclasses import dataclass

WILDCARDS = frozenset({"0.0.0.0", "::", "*"})


@dataclass(frozen=True, slots=True)
class Socket:
    """One line of ``ss -H -lntu``. ``device`` is empty where the socket isn't bound to a card."""

    protocol: str  # tcp or udp
    address: str
    device: str
    port: int

    def __str__(self) -> str:
        device = f"%{self.device}" if self.device else ""
        return f"{self.protocol} {self.address}{device}:{self.port}"

    @property
    def everywhere(self) -> bool:
        """Whether it listens on every card the machine has."""
        return self.address in WILDCARDS and not self.device


def sockets(text: str) -> tuple[Socket, ...]:
    """The sockets of ``ss -H -lntu``: ``protocol state recv-q send-q local peer``."""
    fields = (line.split() for line in text.splitlines())
    return tuple(_socket(part[0], part[4]) for part in fields if len(part) >= 5)


def _socket(protocol: str, local: str) -> Socket:
    """``10.80.0.1:53``, ``0.0.0.0%lan0:67``, ``[fe80::1]%lan0:53``, ``*:5403``."""
    host, _, port = local.rpartition(":")
    address, _, device = host.partition("%")
    return Socket(protocol, address.strip("[]"), device.rstrip("]"), int(port))
