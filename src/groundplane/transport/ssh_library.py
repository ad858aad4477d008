"""The seam to the SSH library: what a transport needs of a connection, and the one that asyncssh makes.

The library is imported when the first connection is opened: it takes a fifth of a second, and most commands of the
command line reach no machine by SSH. Its errors, and the system's, leave here as they are; ``ssh_errors`` explains
them.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, Final, Protocol

from groundplane.transport.target import Target

if TYPE_CHECKING:
    import asyncssh

HEARTBEAT: Final = 10.0
"""Seconds of silence after which the far end is asked whether it is there; three questions unanswered end the line."""


class Reader(Protocol):
    """One of a process' outputs."""

    async def read(self, n: int = -1, /) -> bytes:
        """Up to ``n`` bytes as soon as there are any (-1: all until the end); nothing at the end."""


class Writer(Protocol):
    """A process' input. What is written is kept until the far end takes it; ``drain`` waits until little is kept."""

    def write(self, data: bytes, /) -> None: ...
    def write_eof(self) -> None: ...
    async def drain(self) -> None: ...


class RemoteProcess(Protocol):
    """A command at the far end. ``returncode`` is None until it has ended, and for ever if its end was never told."""

    @property
    def stdin(self) -> Writer: ...
    @property
    def stdout(self) -> Reader: ...
    @property
    def stderr(self) -> Reader: ...
    @property
    def returncode(self) -> int | None: ...
    def close(self) -> None: ...
    async def wait_closed(self) -> None: ...


class Connection(Protocol):
    """An open, authenticated connection. ``start`` raises ``Gone`` where the connection ended before the command."""

    async def start(self, command: str) -> RemoteProcess: ...
    def is_closed(self) -> bool: ...
    def close(self) -> None: ...
    async def wait_closed(self) -> None: ...


Open = Callable[[Target], Awaitable[Connection]]


class Gone(Exception):
    """The connection was lost before the command began: it may be started again on a new one."""


class HostKeyRefused(Exception):
    """The machine proved a key not known for it. ``offered`` and ``known`` are fingerprints, as ssh shows them."""

    def __init__(self, offered: str, known: tuple[str, ...]) -> None:
        super().__init__(offered)
        self.offered = offered
        self.known = known


class HostKeysUnreadable(Exception):
    """The known host keys themselves can't be read."""


class KeyUnusable(Exception):
    """The private key to log in with can't be read, or asks for a passphrase."""


async def open_connection(target: Target) -> Connection:
    """Connect and log in. ``~/.ssh/config`` isn't read: the same target behaves the same for everybody."""
    import asyncssh

    class Client(asyncssh.SSHClient):
        """Remembers the key that was offered; it is asked only about keys that aren't known."""

        offered: asyncssh.SSHKey | None = None

        def validate_host_public_key(self, host: str, addr: str, port: int, key: asyncssh.SSHKey) -> bool:
            self.offered = key
            return False

    client = Client()
    known = _known_hosts(target)
    try:
        connection = await asyncssh.connect(
            target.host,
            target.port,
            username=target.user,
            client_factory=lambda: client,
            config=None,
            known_hosts=known,
            client_keys=_key_pairs(target.key) if target.key else (),
            agent_path=None if target.key else (),
            preferred_auth="publickey",
            keepalive_interval=HEARTBEAT,
        )
    except asyncssh.HostKeyNotVerifiable as error:
        if client.offered is None:
            raise
        keys = known.match(target.host, "", target.port)[0] or known.match(target.host, "", None)[0]
        raise HostKeyRefused(_fingerprint(client.offered), tuple(map(_fingerprint, keys))) from error
    return _Asyncssh(connection)


class _Asyncssh:
    """asyncssh's connection as a Connection."""

    def __init__(self, connection: asyncssh.SSHClientConnection) -> None:
        self._connection = connection

    async def start(self, command: str) -> RemoteProcess:
        import asyncssh

        try:
            return await self._connection.create_process(command, encoding=None)
        except asyncssh.ChannelOpenError as error:
            # Refused as a session, not as a command: the connection was gone before the command was named.
            if self.is_closed() and error.code != asyncssh.OPEN_REQUEST_SESSION_FAILED:
                raise Gone(error.reason) from error
            raise

    def is_closed(self) -> bool:
        return self._connection.is_closed()

    def close(self) -> None:
        self._connection.close()

    async def wait_closed(self) -> None:
        await self._connection.wait_closed()


def _known_hosts(target: Target) -> asyncssh.SSHKnownHosts:
    import asyncssh

    try:
        content = target.host_keys if isinstance(target.host_keys, bytes) else target.host_keys.read_bytes()
        return asyncssh.import_known_hosts(content.decode())
    except (OSError, ValueError) as error:
        raise HostKeysUnreadable(str(error)) from error


def _key_pairs(key: Path) -> list[asyncssh.SSHKeyPair]:
    import asyncssh

    try:
        return list(asyncssh.load_keypairs([str(key)]))
    except (OSError, ValueError) as error:  # ValueError: what KeyImportError and KeyEncryptionError have in common
        raise KeyUnusable(str(error)) from error


def _fingerprint(key: asyncssh.SSHKey) -> str:
    return f"{key.get_fingerprint()} ({key.get_algorithm()})"
