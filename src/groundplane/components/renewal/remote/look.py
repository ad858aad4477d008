"""Runs on a control plane: says what ``renew.py``, whose text is the argument, finds at fault with its certificates.

To read them all openssl is started two dozen times, and hardly ever they are others than at the last look. So that
nothing was at fault is remembered with the digest of all it was judged by, until the first of them is due. What this
imports at once is as little as it can be: it takes longer than all else then.
"""

from __future__ import annotations

import os
import sys
import time
from hashlib import sha256

TYPE_CHECKING = False  # typing's own costs its import
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    Judge = Callable[[str, bytes], tuple[str, float]]

KUBERNETES = "/etc/kubernetes"
KUBELET = "/var/lib/kubelet/pki"
RUN = "/run/groundplane/renewal"
MEMORY = "/run/groundplane/renewal.good"


def look(program: str, wanted: bytes, judge: Judge) -> str:
    """A line for each fault. ``judge`` is asked for them, and until when (seconds since 1970) there are none, where it
    isn't remembered."""
    digest = digest_of_all(program, wanted)
    until, _, known = read(MEMORY).decode().partition("\n")
    if known == digest and time.time() < float(until):
        return ""
    said, end = judge(program, wanted)
    if not said:
        remember(f"{end}\n{digest}")
    return said


def digest_of_all(program: str, wanted: bytes) -> str:
    """Of everything but the time that the judgement depends on, and of some more that lies beside it."""
    found = [sha256(part).hexdigest() for part in (program.encode(), wanted)]
    found += [f"{path} {sha256(read(path)).hexdigest()}" for path in files()]
    return sha256("\n".join(found).encode()).hexdigest()


def files() -> Iterator[str]:
    for folder in (KUBERNETES, f"{KUBERNETES}/manifests", f"{KUBERNETES}/pki", f"{KUBERNETES}/pki/etcd", KUBELET, RUN):
        names = sorted(os.listdir(folder)) if os.path.isdir(folder) else ()
        yield from filter(os.path.isfile, (f"{folder}/{name}" for name in names))


def read(path: str) -> bytes:
    """What a file holds; empty where it isn't there, or not any more."""
    try:
        with open(path, "rb") as file:
            return file.read()
    except FileNotFoundError:
        return b""


def remember(text: str) -> None:
    os.makedirs(os.path.dirname(MEMORY), mode=0o700, exist_ok=True)
    partial = f"{MEMORY}.{os.getpid()}"
    with open(partial, "w") as file:
        file.write(text)
    os.replace(partial, MEMORY)


def judged(program: str, wanted: bytes) -> tuple[str, float]:
    """What ``program`` says, and when the first certificate is due by its rules; 0 where there is none."""
    import json
    from contextlib import redirect_stdout
    from io import StringIO
    from types import ModuleType

    renew = sys.modules["renew"] = ModuleType("renew")  # dataclasses look for it there
    exec(program, renew.__dict__)
    told, said = renew.Wanted(**json.loads(wanted)), StringIO()
    with redirect_stdout(said):
        renew.look(told)
    due = []
    for one in renew.CREDENTIALS if not said.getvalue() else ():
        if seen := renew.read(one, renew.KUBERNETES, told.authority(one.authority)):
            part = 1 if one.itself else renew.PART
            due.append((seen.begins + part * (seen.ends - seen.begins)).timestamp())
    return said.getvalue(), min(due, default=0.0)


def main() -> None:
    print(look(sys.argv[1], sys.stdin.buffer.read(), judged), end="")


if __name__ == "__main__":
    main()
