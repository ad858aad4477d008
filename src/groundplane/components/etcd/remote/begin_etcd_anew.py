"""Runs on a control plane: removes etcd's log where nothing was ever written to it, so that etcd begins it anew.

etcd makes its log first and writes the cluster's members to it after that. Killed in between, it goes on as a member
of a cluster without any, never has a leader and never serves (https://github.com/etcd-io/etcd/issues/12578). All it
ever acknowledged is in the log or a snapshot: where neither has anything, there is nothing to lose.

Prints ``anew`` when it removed the log, nothing when there was something in it.
"""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

# What a log has before anything is written to it (server/storage/wal/wal.go of etcd): whose it is, its checksum's
# beginning, and the snapshot it goes on from, which is none. Entries and raft's state are the kinds 2 and 3.
METADATA, CHECKSUM, SNAPSHOT = 1, 4, 5
HEAD = {METADATA, CHECKSUM, SNAPSHOT}
UNKNOWN = 0


def records(log: Path) -> Iterator[tuple[int, int]]:
    """Each record's kind and where it ends, in bytes. Zeros follow the last: the file is made in its full size.

    A record is a length of 8 bytes (the low 56 bits, and how many bytes of padding follow in the low 3 bits of the
    highest byte), then a protocol buffer whose first field is the kind.
    """
    with log.open("rb") as file:
        while any(frame := file.read(8)):
            length, padding = int.from_bytes(frame[:7], "little"), frame[-1] & 7
            tag, kind = file.read(2).ljust(2, b"\0")
            end = file.seek(length - 2 + padding, os.SEEK_CUR)
            yield (kind if tag == 0x08 else UNKNOWN), end


def unbegun(data: Path) -> bool:
    """Whether etcd's ``data`` has a log and nothing was ever written to it."""
    logs, snapshots = list(data.glob("member/wal/*.wal")), list(data.glob("member/snap/*.snap"))
    return len(logs) == 1 and not snapshots and HEAD.issuperset(kind for kind, _ in records(logs[0]))


def end_etcd(data: Path) -> None:
    """Kill the etcd of ``data`` and wait until it has let go of its log."""
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):  # it ended meanwhile
            program, *arguments = (process / "cmdline").read_bytes().decode(errors="replace").split("\0")
            if Path(program).name == "etcd" and f"--data-dir={data}" in arguments:
                os.kill(int(process.name), signal.SIGKILL)
    with next(data.glob("member/wal/*.wal")).open("rb+") as log:
        fcntl.lockf(log, fcntl.LOCK_EX)


def main() -> None:
    data = Path(json.load(sys.stdin)["data"])
    if not unbegun(data):
        return
    subprocess.run(["systemctl", "stop", "kubelet"], check=True, timeout=60)  # it would start etcd again
    end_etcd(data)
    if unbegun(data):  # looked at while it was just beginning, it may have begun after all
        shutil.rmtree(data / "member" / "wal")
        print("anew")


if __name__ == "__main__":
    main()
