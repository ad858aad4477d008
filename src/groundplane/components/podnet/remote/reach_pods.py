"""Runs on a node: asks Services and nodes' ports from the node, then pods, Services and names from inside a probe
pod's own network. What answers is asked again with a body that fills many packets, and must send it back.

What to ask is JSON on stdin. It prints one line per question, ``KIND|TARGET|PROBLEM``, the problem empty where the
answer was right.
"""

from __future__ import annotations

import ctypes
import http.client
import json
import os
import secrets
import socket
import struct
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Final, NamedTuple

CLONE_NEWNET = 0x40000000
PATIENCE = 4.0  # seconds: kube-proxy may learn of an endpoint a moment after it is ready
TIMEOUT = 2.0
ALIVE = (0, 3)  # DNS answers that a server gives which knows: the name is there, or it is not
TYPES: Final[Mapping[str, int]] = {"A": 1, "NS": 2}


class Target(NamedTuple):
    """Whom to ask over HTTP. ``expected``: who may answer; ``whole``: with a long body as well."""

    shown: str
    host: str
    port: int
    path: str
    expected: list[str]
    whole: bool


class Question(NamedTuple):
    """A name to ask one DNS server for; ``address`` is what it must be, empty: anything."""

    shown: str
    server: str
    name: str
    kind: str
    address: str


def patiently(ask: Callable[[], str]) -> str:
    """Ask until it returns no problem, or for ``PATIENCE`` seconds: the last problem."""
    end = time.monotonic() + PATIENCE
    while True:
        try:
            seen = ask()
        except (OSError, http.client.HTTPException) as error:
            seen = str(error) or type(error).__name__
        if not seen or time.monotonic() > end:
            return seen
        time.sleep(0.2)


def answer(target: Target, body: bytes) -> bytes:
    connection = http.client.HTTPConnection(target.host, target.port, timeout=TIMEOUT)
    try:
        connection.request("POST" if body else "GET", target.path, body=body or None)
        return connection.getresponse().read()
    finally:
        connection.close()


def problem(target: Target, body: bytes) -> str:
    """Why ``target`` doesn't answer as it should; empty where it does."""

    def short() -> str:
        said = answer(target, b"").decode(errors="replace").strip()
        return "" if said in target.expected else f"{said[:80]!r} answered"

    def long() -> str:
        _, _, back = answer(target, body).partition(b"\n")
        return "" if back == body else f"{len(back)} bytes came back"

    if seen := patiently(short):
        return seen
    if target.whole and (seen := patiently(long)):
        return f"it answers, but {len(body) >> 10} KiB don't get there and back: {seen}"
    return ""


def resolved(question: Question) -> str:
    """Why a DNS server doesn't answer ``question`` as it should; empty where it does. One packet there and one back
    (RFC 1035, 4.1)."""
    number = secrets.token_bytes(2)
    labels = b"".join(bytes([len(label)]) + label.encode() for label in question.name.split(".") if label)
    asked = labels + b"\0" + struct.pack(">HH", TYPES[question.kind], 1)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.settimeout(TIMEOUT)
        sock.connect((question.server, 53))
        sock.send(number + struct.pack(">HHHHH", 0x0100, 1, 0, 0, 0) + asked)
        said = sock.recv(4096)
    if len(said) < 12 or said[:2] != number:
        return "something that is no answer came"
    code = said[3] & 15
    if not question.address:
        return "" if code in ALIVE else f"DNS error {code}"
    return "" if code == 0 and socket.inet_aton(question.address) in said[12:] else f"not found (DNS error {code})"


def pod_process(uid: str) -> int | None:
    """A process of the pod with that UID, found by its cgroup as any container runtime names it."""
    for entry in os.listdir("/proc"):
        if not entry.isdigit():
            continue
        try:
            with open(f"/proc/{entry}/cgroup") as groups, open(f"/proc/{entry}/cmdline", "rb") as command:
                if uid in groups.read().replace("_", "-") and b"probe" in command.read():
                    return int(entry)
        except OSError:
            continue  # it ended while we looked
    return None


def enter_network(process: int) -> None:
    """Move this thread, and those it starts from now on, into the network of ``process``."""
    with open(f"/proc/{process}/ns/net") as namespace:
        if ctypes.CDLL(None, use_errno=True).setns(namespace.fileno(), CLONE_NEWNET) != 0:
            raise OSError(ctypes.get_errno(), "setns")


def ask(kind: str, targets: Iterable[Target], body: bytes) -> Iterator[str]:
    targets = list(targets)
    with ThreadPoolExecutor(32) as pool:
        for target, seen in zip(targets, pool.map(lambda target: problem(target, body), targets), strict=True):
            yield f"{kind}|{target.shown}|{seen}"


def look_up(questions: Iterable[Question]) -> Iterator[str]:
    questions = list(questions)
    with ThreadPoolExecutor(32) as pool:
        asked = pool.map(lambda question: patiently(lambda: resolved(question)), questions)
        for question, seen in zip(questions, asked, strict=True):
            yield f"name|{question.shown}|{seen}"


def main() -> None:
    wanted = json.load(sys.stdin)
    body = secrets.token_bytes(wanted["bytes"])
    names = [pod["name"] for pod in wanted["pods"]]
    service = [Target("the Service", wanted["service"], wanted["service_port"], "/", names, True)]
    ports = [Target(port["node"], port["address"], port["port"], "/", [port["pod"]], False) for port in wanted["ports"]]
    lines = [
        *ask("proxy", [Target("kube-proxy", "127.0.0.1", 10249, "/proxyMode", ["nftables"], False)], body),
        *ask("node", service, body),
        *ask("hostport", ports, body),
    ]
    process = pod_process(wanted["uid"])
    if process is None:
        lines.append(f"pod|{wanted['uid']}|its process isn't on this node")
    else:
        enter_network(process)
        pods = [Target(pod["node"], pod["address"], wanted["port"], "/", [pod["name"]], True) for pod in wanted["pods"]]
        lines += ask("pod", pods, body)
        lines += ask("service", service, body)
        lines += look_up(Question(**question) for question in wanted["questions"])
    print("\n".join(lines))


if __name__ == "__main__":
    main()
