"""The work every tool is given, said once in nobody's terms. The same for each of the machines."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Final

MACHINES: Final = ("one", "two", "three", "four")


@dataclass(frozen=True, slots=True)
class Account:
    """A system account without home, password or shell."""

    name: str


@dataclass(frozen=True, slots=True)
class Folder:
    path: str
    mode: int
    owner: str = "root"


@dataclass(frozen=True, slots=True)
class Document:
    """A file; its group is its owner's."""

    path: str
    content: str
    mode: int = 0o644
    owner: str = "root"


@dataclass(frozen=True, slots=True)
class Pointer:
    """A symbolic link."""

    path: str
    target: str


@dataclass(frozen=True, slots=True)
class Setting:
    """A sysctl: now, and at every boot."""

    key: str
    value: str


@dataclass(frozen=True, slots=True)
class Work:
    """What must hold on a machine. ``units`` are enabled and active; ``packages`` installed."""

    accounts: tuple[Account, ...]
    folders: tuple[Folder, ...]
    documents: tuple[Document, ...]
    pointers: tuple[Pointer, ...]
    packages: tuple[str, ...]
    settings: tuple[Setting, ...]
    units: tuple[str, ...]

    @property
    def size(self) -> int:
        """How many resources it is."""
        return sum(len(part) for part in asdict(self).values())

    @property
    def unit_files(self) -> tuple[Document, ...]:
        """The files after whose change systemd must read its units anew."""
        return tuple(document for document in self.documents if document.path.endswith(".service"))

    @property
    def plain_files(self) -> tuple[Document, ...]:
        return tuple(document for document in self.documents if document not in self.unit_files)


def _service(number: int) -> Document:
    text = f"""\
[Unit]
Description=Sleeper {number} of the benchmark

[Service]
ExecStart=/bin/sleep infinity

[Install]
WantedBy=multi-user.target
"""
    return Document(f"/etc/systemd/system/sleeper{number}.service", text)


def _text(name: str, lines: int) -> str:
    return "".join(f"{name}.option{number} = a value of no importance, number {number}\n" for number in range(lines))


WORK: Final = Work(
    accounts=(Account("benchapp"), Account("benchlog")),
    folders=(
        Folder("/etc/bench", 0o755),
        Folder("/etc/bench/conf.d", 0o755),
        Folder("/srv/bench", 0o755),
        Folder("/srv/bench/data", 0o700),
        Folder("/var/lib/bench", 0o750, "benchapp"),
        Folder("/var/log/bench", 0o750, "benchlog"),
    ),
    documents=(
        *(Document(f"/etc/bench/conf.d/{number:02}.conf", _text(f"part{number}", 20)) for number in range(12)),
        Document("/etc/bench/key", _text("key", 5), 0o600),
        Document("/etc/bench/large.conf", _text("large", 400)),
        Document("/etc/cron.d/bench", "17 3 * * * root /usr/local/bin/bench-run\n"),
        Document("/usr/local/bin/bench-run", "#!/bin/sh\nexec true\n", 0o755),
        Document("/var/lib/bench/settings", _text("settings", 10), 0o640, "benchapp"),
        Document("/var/log/bench/begin", "began\n", 0o644, "benchlog"),
        _service(1),
        _service(2),
    ),
    pointers=(
        Pointer("/etc/bench/current", "conf.d"),
        Pointer("/srv/bench/log", "/var/log/bench"),
        Pointer("/usr/local/bin/bench", "bench-run"),
    ),
    packages=("ca-certificates", "cron", "curl", "iproute2", "nftables", "openssh-server", "procps", "python3"),
    settings=(
        Setting("net.core.somaxconn", "8192"),
        Setting("net.ipv4.ip_forward", "1"),
        Setting("net.ipv4.tcp_fin_timeout", "33"),
        Setting("net.ipv4.tcp_keepalive_time", "611"),
    ),
    units=("cron.service", "nftables.service", "sleeper1.service", "sleeper2.service"),
)
