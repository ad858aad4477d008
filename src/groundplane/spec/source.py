"""From a path or bytes to text, or to the problem that forbids it."""

from __future__ import annotations

import errno
from pathlib import Path

from groundplane.spec.problem import InvalidCluster, Problem

MAX_BYTES = 2**20
# A thousand machines, one key a line with comments between, stay far below it; a million blank lines don't.
MAX_LINES = 50_000

_MAY_READ = "let this user read it and enter its folder (ls -l, chmod), or run the command as one who may"
_START = "start from examples/minimal.yaml, or see every key with `groundplane explain`"


def read(source: Path | bytes, name: str) -> str:
    """Return the file's text, without a byte order mark and with newlines as ``\\n``. Raises ``InvalidCluster``."""
    raw = source if isinstance(source, bytes) else _bytes_of(source, name)
    if len(raw) > MAX_BYTES:
        raise _whole(name, "the file is larger than 1 MiB", "a cluster file is a few kilobytes: is this the right one?")
    if b"\0" in raw[:4096] and not raw.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise _whole(name, "this is a binary file (it holds zero bytes)", f"name the cluster file; {_START}")
    text = _decoded(raw, name).replace("\r\n", "\n").replace("\r", "\n")
    if text.count("\n") > MAX_LINES:
        raise _whole(name, f"the file has more than {MAX_LINES} lines", "is this the right file?")
    return text


def _bytes_of(path: Path, name: str) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(MAX_BYTES + 1)
    except FileNotFoundError as error:
        raise _whole(name, "there is no such file", _START) from error
    except IsADirectoryError as error:
        raise _whole(name, "this is a directory, not a file", "name the cluster file in it") from error
    except PermissionError as error:
        raise _whole(name, "the file can't be read: permission denied", _MAY_READ) from error
    except (OSError, ValueError) as error:  # ValueError: a path with a NUL in it
        reason = errno.errorcode.get(error.errno or 0, "") if isinstance(error, OSError) else "not a path"
        raise _whole(name, f"the file can't be read: {reason}", "check the path") from error


def _decoded(raw: bytes, name: str) -> str:
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        # With a byte order mark the codec counts from behind it.
        offset = error.start + (3 if raw.startswith(b"\xef\xbb\xbf") else 0)
        before = raw[:offset]
        line = before.count(b"\n") + 1
        column = len(before[before.rfind(b"\n") + 1 :].decode("utf-8", errors="replace")) + 1
        message = f"the file is not UTF-8: byte {raw[offset]:#04x} at offset {offset}"
        problem = Problem(line, column, "", message, "save it with the encoding UTF-8")
        raise InvalidCluster(name, [problem], raw.decode("utf-8", errors="replace")) from error


def _whole(name: str, message: str, instead: str) -> InvalidCluster:
    return InvalidCluster(name, [Problem(0, 0, "", message, instead)])
