"""Asks the API or a DNS server, or writes to the API, again and again; one JSON line per request.

A request that hangs holds up none of the later ones. Every one goes over a new connection, or from a new port. Every
TLS connection does the whole handshake and verifies the server's certificate: no session is resumed. At 50 a second
that takes about a tenth of one processor here.

The first line of standard input is what to do, as JSON, key and certificate included; they are written nowhere.
The program ends when standard input does, or, where it is told to be ``lasting``, when nobody reads its lines any
more: it never outlives whoever started it. The first line of the latter kind says what its clock shows.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import socket
import ssl
import struct
import sys
import time
from dataclasses import dataclass


@dataclass(frozen=True)
class Task:
    """``authority``, ``certificate`` and ``key`` are PEM; without a certificate the request is anonymous.

    With a ``namespace`` numbered ConfigMaps are made in it, else it is asked whether it is ready: one that is told to
    stop serves on for a while, and is. Without an ``authority`` it is a DNS server that is asked, for the ``name``.
    """

    address: str
    port: int
    name: str
    every: float
    timeout: float
    authority: str = ""
    certificate: str = ""
    key: str = ""
    namespace: str = ""
    lasting: bool = False

    def context(self) -> ssl.SSLContext:
        context = ssl.create_default_context(cadata=self.authority)
        if self.certificate:
            # OpenSSL reads keys from files alone: this one is in memory, and gone with this process.
            file = os.memfd_create("identity")
            os.write(file, f"{self.certificate}\n{self.key}\n".encode())
            context.load_cert_chain(f"/proc/self/fd/{file}")
            os.close(file)
        return context

    def request(self, number: int) -> bytes:
        """The request of that number, and 201 or 200 is what says that it was done."""
        if not self.namespace:
            return f"GET /readyz?exclude=shutdown HTTP/1.1\r\nHost: {self.name}\r\nConnection: close\r\n\r\n".encode()
        body = json.dumps(
            {
                "apiVersion": "v1",
                "kind": "ConfigMap",
                "metadata": {"name": f"write-{number}"},
                "data": {"number": str(number)},
            }
        ).encode()
        head = (
            f"POST /api/v1/namespaces/{self.namespace}/configmaps HTTP/1.1\r\nHost: {self.name}\r\n"
            f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n"
        )
        return head.encode() + body

    def question(self, number: int) -> bytes:
        """Who has the name (RFC 1035, 4.1); the answer bears the same number."""
        labels = b"".join(bytes([len(label)]) + label.encode() for label in self.name.split(".") if label)
        return struct.pack(">HHHHHH", number & 0xFFFF, 0x0100, 1, 0, 0, 0) + labels + b"\0" + struct.pack(">HH", 1, 1)


async def main() -> None:
    logging.disable()  # what goes wrong with a connection is the answer, not a complaint
    loop = asyncio.get_running_loop()
    task = Task(**json.loads(sys.stdin.readline()))
    context = task.context() if task.authority else None
    over = asyncio.Event()
    if task.lasting:
        tell({"clock": time.monotonic()})
    else:
        loop.add_reader(sys.stdin.fileno(), over.set)  # only its end is still to come
    running: set[asyncio.Task[None]] = set()
    number, due = 0, loop.time()
    while not over.is_set():
        number += 1
        request = loop.create_task(once(task, context, number))
        running.add(request)
        request.add_done_callback(running.discard)
        # Where this program was held up, what it missed is not made up for: a burst would measure itself.
        due = max(due + task.every, loop.time())
        try:
            await asyncio.wait_for(over.wait(), due - loop.time())
        except TimeoutError:
            continue
    if running:
        await asyncio.wait(running)


async def once(task: Task, context: ssl.SSLContext | None, number: int) -> None:
    begin = time.monotonic()
    try:
        async with asyncio.timeout(task.timeout):
            why = await asked(task, number) if context is None else await exchanged(task, context, number)
    except TimeoutError:
        why = f"no answer within {task.timeout:g} s"
    except ConnectionRefusedError:
        why = "refused"
    except (ConnectionResetError, BrokenPipeError, EOFError):
        why = "cut off"
    except ssl.SSLError as error:
        why = f"TLS: {error.reason or error}"
    except OSError as error:
        why = error.strerror or type(error).__name__
    tell({"number": number, "at": begin, "seconds": time.monotonic() - begin, "ok": not why, "why": why})


def tell(line: dict[str, object]) -> None:
    try:
        print(json.dumps(line), flush=True)
    except BrokenPipeError:
        os._exit(0)  # nobody reads any more


async def exchanged(task: Task, context: ssl.SSLContext, number: int) -> str:
    """Do one request over a connection of its own; what was wrong with the answer, empty where nothing was."""
    reader, writer = await asyncio.open_connection(task.address, task.port, ssl=context, server_hostname=task.name)
    try:
        writer.write(task.request(number))
        answer = await reader.read(-1)
    finally:
        writer.transport.abort()
    words = answer.partition(b"\r\n")[0].split(b" ")
    if len(words) < 2:
        raise EOFError
    status = words[1].decode(errors="replace")
    return "" if status in ("200", "201") else f"status {status}"


async def asked(task: Task, number: int) -> str:
    """Ask a DNS server once, from a port of its own; what was wrong with the answer, empty where nothing was."""
    loop = asyncio.get_running_loop()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.setblocking(False)
        sock.connect((task.address, task.port))
        await loop.sock_sendall(sock, task.question(number))
        return verdict(await loop.sock_recv(sock, 4096), number)


def verdict(said: bytes, number: int) -> str:
    """What is wrong with an answer: it must be to the question of that number, without an error, and hold something."""
    if len(said) < 12 or said[:2] != struct.pack(">H", number & 0xFFFF):
        return "something that is no answer came"
    if code := said[3] & 15:
        return f"DNS error {code}"
    return "" if said[6:8] != bytes(2) else "an answer with no address"


if __name__ == "__main__":
    asyncio.run(main())
