"""Runs on a node: asks Services from the node, then pods and Services from inside a probe pod's own network."""

from __future__ import annotations

import ctypes
import http.client
import json
import os
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

CLONE_NEWNET = 0x40000000
PATIENCE = 4.0  # seconds: kube-proxy may learn of an endpoint a moment after it is ready
TIMEOUT = 2.0


def answer(host: str, port: int, path: str) -> str:
    connection = http.client.HTTPConnection(host, port, timeout=TIMEOUT)
    try:
        connection.request("GET", path)
        return connection.getresponse().read().decode(errors="replace").strip()
    finally:
        connection.close()


def problem(host: str, port: int, path: str, expected: list[str]) -> str:
    """Ask until one of ``expected`` answers, or say what happened instead."""
    end = time.monotonic() + PATIENCE
    while True:
        try:
            said = answer(host, port, path)
            seen = "" if said in expected else f"{said[:80]!r} answered"
        except OSError as error:
            seen = str(error) or type(error).__name__
        if not seen or time.monotonic() > end:
            return seen
        time.sleep(0.2)


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


def ask(kind: str, targets: list[tuple[str, int, str, list[str]]]) -> Iterator[str]:
    with ThreadPoolExecutor(32) as pool:
        for (host, *_), seen in zip(targets, pool.map(lambda target: problem(*target), targets), strict=True):
            yield f"{kind}|{host}|{seen}"


def main() -> None:
    wanted = json.load(sys.stdin)
    names = [pod["name"] for pod in wanted["pods"]]
    service = [(wanted["service"], wanted["service_port"], "/", names)]
    lines = [
        *ask("proxy", [("127.0.0.1", 10249, "/proxyMode", ["nftables"])]),
        *ask("node", service),
    ]
    process = pod_process(wanted["uid"])
    if process is None:
        lines.append(f"pod|{wanted['uid']}|its process isn't on this node")
    else:
        enter_network(process)
        lines += ask("pod", [(pod["address"], wanted["port"], "/", [pod["name"]]) for pod in wanted["pods"]])
        lines += ask("service", service)
    print("\n".join(lines))


if __name__ == "__main__":
    main()
