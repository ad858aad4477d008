"""Sitting at a machine: the terminal is handed to OpenSSH's own client, which is better kept for it than a library."""

from __future__ import annotations

import shlex
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import NamedTemporaryFile

from groundplane.errors import TransportError
from groundplane.transport.target import Target


def sit(machine: str, target: Target, argv: Sequence[str]) -> int:
    """Run ``argv`` (empty: a login shell) with this process' terminal; return its status.

    255 is ssh's own failure, which it has explained on the terminal by then.
    """
    terminal = sys.stdin.isatty() and sys.stdout.isatty()
    with _host_keys(target) as known, _started(machine, command(target, known, argv, terminal=terminal)) as process:
        while True:
            try:
                return process.wait()
            except KeyboardInterrupt:
                continue  # it was meant for the command, which had it from the terminal as well


def command(target: Target, host_keys: Path, argv: Sequence[str], *, terminal: bool) -> tuple[str, ...]:
    """ssh's argv, with the settings of ``ssh_library.open_connection``."""
    return (
        *("ssh", "-F", "none", "-p", str(target.port), "-l", target.user),
        *("-o", "StrictHostKeyChecking=yes", "-o", "UpdateHostKeys=no"),
        *("-o", f"UserKnownHostsFile={_escaped(host_keys)}", "-o", "GlobalKnownHostsFile=none"),
        *("-o", "PreferredAuthentications=publickey"),
        *(("-o", "IdentitiesOnly=yes", "-i", str(target.key)) if target.key else ()),
        *(("-t",) if terminal and argv else ()),
        "--",
        target.host,
        *((shlex.join(argv),) if argv else ()),
    )


def _escaped(path: Path) -> str:
    """ssh_config(5) splits the option at blanks and expands per cent signs and ``${}``."""
    return '"' + str(path).replace("%", "%%") + '"'


@contextmanager
def _host_keys(target: Target) -> Iterator[Path]:
    """The known host keys as a file, for as long as the block lasts."""
    if isinstance(target.host_keys, Path):
        yield target.host_keys
        return
    with NamedTemporaryFile(prefix="groundplane-", suffix=".known_hosts") as file:
        file.write(target.host_keys)
        file.flush()
        yield Path(file.name)


def _started(machine: str, argv: Sequence[str]) -> subprocess.Popen[bytes]:
    try:
        return subprocess.Popen(argv)
    except FileNotFoundError as error:
        raise TransportError(
            "this computer has no SSH client to sit at a machine with",
            where=machine,
            hint="run: apt-get install openssh-client",
        ) from error
