"""Files to and from machines, as streams of bytes that are checked by their digest.

What the transports have in common: the two scripts at the far end, and what is said to them. A transport brings a
``Streams``, a command whose input and output are streams. At both ends a file is written beside its place, checked,
had on disk and only then renamed: whatever is interrupted, the old file stays.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from contextlib import contextmanager, suppress
from hashlib import sha256
from pathlib import Path, PurePosixPath
from secrets import token_hex
from tempfile import NamedTemporaryFile
from typing import TYPE_CHECKING, BinaryIO, Final, Protocol, cast

from groundplane.errors import TransportError
from groundplane.state.step import Completed
from groundplane.transport.words import failed

if TYPE_CHECKING:
    from collections.abc import Iterator

CHUNK: Final = 1 << 16
"""Bytes that are on their way at a time."""

LONGEST: Final = 1800.0
"""Seconds a file may be on its way: half a gigabyte over a slow line."""

Told = Callable[[int], None]
"""Hears how many bytes of a file have gone, or have come."""

_NOT_THE_SAME: Final = 65
"""The status with which ``_PUT`` ends where the digest is another; nothing in it ends with this (sysexits.h)."""

_PUT: Final = f"""\
set -euC
path=$1 partial=$2 digest=$3 mode=$4 folder=${{1%/*}}/
mkdir -p "$folder"
find "$folder" -maxdepth 1 -type f -name '.*.groundplane-partial' -mmin +1440 -delete
umask 077
trap 'rm -f "$partial"' EXIT
trap 'exit 1' HUP INT TERM
cat >"$partial"
found=$(sha256sum <"$partial")
[ "${{found%% *}}" = "$digest" ] || exit {_NOT_THE_SAME}
chmod "$mode" "$partial"
sync "$partial"
mv -fT "$partial" "$path"
sync "$folder"
"""
"""Takes a file from its input. One whose transport was killed leaves a part, which a later one removes, a day after."""

_GET: Final = """\
set -eu
exec 3<"$1"
digest=$(sha256sum </dev/fd/3)
echo "${digest%% *}"
exec cat <&3
"""
"""Says the file's digest on a line, then its content; both are of the one file that was opened."""


class Streams(Protocol):
    """A command that runs, with its input and output as streams."""

    async def write(self, data: bytes) -> None:
        """Give it input; returns once it may be given more. BrokenPipeError where it reads no more."""

    def end_input(self) -> None:
        """There is no more."""

    async def read(self, n: int) -> bytes:
        """Up to ``n`` bytes of its output as soon as there are any; nothing at the end."""

    async def ended(self) -> Completed:
        """Wait for its end. Its output was read to the end by then (a command that can't get rid of it never ends):
        only the status and stderr are there."""


def putting(path: str, digest: str, mode: int) -> tuple[str, ...]:
    """The argv that takes a file from its input to ``path``. ``digest`` as OCI writes it."""
    place = PurePosixPath(path)
    partial = place.with_name(f".{place.name[:100]}.{token_hex(8)}.groundplane-partial")
    words = (path, str(partial), digest.removeprefix("sha256:"), f"{mode:04o}")
    return ("sh", "-c", _PUT, "groundplane-put", *words)


def getting(path: str) -> tuple[str, ...]:
    """The argv that says the digest of the file at ``path``, then its content."""
    return ("sh", "-c", _GET, "groundplane-get", path)


async def send(channel: Streams, source: Path, told: Told) -> tuple[Completed, str]:
    """Feed ``source`` to a command that is ``putting`` it; how that ended, and the digest of what ``source`` held."""
    digest, count = sha256(), 0
    with _readable(source) as file:
        while chunk := file.read(CHUNK):
            digest.update(chunk)
            with suppress(BrokenPipeError, ConnectionResetError):  # it ended early: its status tells why
                await channel.write(chunk)
            count += len(chunk)
            told(count)
    channel.end_input()
    return await channel.ended(), f"sha256:{digest.hexdigest()}"


def judge_sent(machine: str, path: str, source: Path, digest: str, done: Completed, sent: str) -> None:
    """Raise TransportError where the file did not get to its place."""
    if done.status == _NOT_THE_SAME and sent != digest:
        raise TransportError(
            f"{source} is not what should go to {path}: its content has another digest", where=machine, detail=sent
        )
    if done.status == _NOT_THE_SAME:
        raise TransportError(f"{path} did not arrive as it was sent", where=machine, hint="run the same command again")
    if done.status != 0:
        raise failed(machine, ("put", path), done)


async def receive(channel: Streams, machine: str, path: str, target: Path, digest: str, told: Told) -> str:
    """Take what a command that is ``getting`` ``path`` says, to ``target``, mode 0600; return its digest.

    Raises TransportError where it is not there, differs from ``digest`` (empty: any will do) or was cut off.
    """
    head = b""
    while b"\n" not in head and (chunk := await channel.read(CHUNK)):
        head += chunk
    line, _, begun = head.partition(b"\n")
    announced = f"sha256:{line.decode(errors='replace')}"
    if digest and line and announced != digest:
        raise TransportError(f"{path} has another content than asked for", where=machine, detail=announced)
    with _written(target) as file:
        found, count = sha256(), 0
        chunk = begun or await channel.read(CHUNK)  # the line may come alone
        while chunk:
            file.write(chunk)
            found.update(chunk)
            count += len(chunk)
            told(count)
            chunk = await channel.read(CHUNK)
        done = await channel.ended()
        if done.status != 0:
            raise failed(machine, ("get", path), done)
        if f"sha256:{found.hexdigest()}" != announced:
            raise TransportError(
                f"{path} did not arrive as it is there", where=machine, hint="run the same command again"
            )
        file.flush()
        await asyncio.to_thread(os.fsync, file.fileno())
    return announced


@contextmanager
def _readable(source: Path) -> Iterator[BinaryIO]:
    try:
        file = source.open("rb")
    except OSError as error:
        raise TransportError("it can't be read", where=str(source), detail=str(error)) from error
    with file:
        yield file


@contextmanager
def _written(target: Path) -> Iterator[BinaryIO]:
    """A file that takes the place of ``target`` when the block ends well."""
    try:
        with NamedTemporaryFile(dir=target.parent, prefix=".partial-", delete=False) as file:
            partial = Path(file.name)
            try:
                yield cast(BinaryIO, file)
                partial.replace(target)
            finally:
                partial.unlink(missing_ok=True)
    except OSError as error:
        raise TransportError("it can't be written", where=str(target), detail=str(error)) from error
