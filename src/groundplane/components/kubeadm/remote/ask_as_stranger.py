"""Runs on a control plane: asks API servers and kubelets without credentials, verifying what they present."""

from __future__ import annotations

import http.client
import json
import socket
import ssl
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial

TIMEOUT = 4.0
LARGE = 32 * 1024
"""Bytes that go with each request: a way on which only small packets come through is no way."""


def status(host: str, port: int, path: str, authority: str) -> int:
    """The HTTP status, with the server's certificate verified against the authority and the host."""
    context = ssl.create_default_context(cafile=authority)
    connection = http.client.HTTPSConnection(host, port, timeout=TIMEOUT, context=context)
    try:
        connection.request("GET", path, headers={"X-Padding": LARGE * "0"})
        answer = connection.getresponse()
        answer.read()
        return answer.status
    finally:
        connection.close()


def expect(host: str, port: int, path: str, authority: str, wanted: int) -> str:
    try:
        seen = status(host, port, path, authority)
    except OSError as error:
        return str(error) or type(error).__name__
    return "" if seen == wanted else f"{path} answered {seen}, not {wanted}"


def closed(host: str, port: int) -> str:
    try:
        socket.create_connection((host, port), timeout=TIMEOUT).close()
    except OSError:
        return ""
    return f"port {port} is open"


def main() -> None:
    wanted = json.load(sys.stdin)
    authority = wanted["authority"]
    questions: list[tuple[str, str, Callable[[], str]]] = []
    for host in wanted["apis"]:
        for path in wanted["open"]:
            questions.append(("api", host, partial(expect, host, wanted["port"], path, authority, 200)))
        for path in wanted["shut"]:
            questions.append(("api", host, partial(expect, host, wanted["port"], path, authority, 401)))
    for host in wanted["kubelets"]:
        questions.append(("serving", host, partial(expect, host, 10250, "/pods", authority, 401)))
        questions.append(("readonly", host, partial(closed, host, 10255)))
    with ThreadPoolExecutor(32) as pool:
        answers = pool.map(lambda question: question[2](), questions)
        for (kind, host, _), seen in zip(questions, answers, strict=True):
            print(f"{kind}|{host}|{seen}")


if __name__ == "__main__":
    main()
