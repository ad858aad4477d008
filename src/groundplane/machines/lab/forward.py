"""Carries connections from this computer's loopback to an address inside a lab. Standard library only.

Run as a script, not as a module, so that it loads nothing else: ``python -I -S forward.py NAMESPACE HOST PORT``.
Its standard input is the listening socket, made in the computer's own network namespace by whoever started it;
the script then moves itself into the lab's, where every connection it opens begins.
"""

from __future__ import annotations

import asyncio
import ctypes
import os
import socket
import sys

CLONE_NEWNET = 0x40000000  # include/uapi/linux/sched.h
CONNECT = 5.0  # seconds to wait for the far side
GONE = 15_000  # milliseconds without an acknowledgement after which the far side counts as gone
CHUNK = 1 << 16


def move(namespace: str) -> None:
    """Make the network namespace behind the file this process's own, setns(2)."""
    handle = os.open(namespace, os.O_RDONLY | os.O_CLOEXEC)
    try:
        if ctypes.CDLL(None, use_errno=True).setns(handle, CLONE_NEWNET) != 0:
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number), namespace)
    finally:
        os.close(handle)


def watch_for_silence(writer: asyncio.StreamWriter) -> None:
    """Let the kernel give up a far side that vanished without a word, as a killed machine does."""
    link = writer.get_extra_info("socket")
    link.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    link.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 5)
    link.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, 5)
    link.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPCNT, 2)
    link.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, GONE)


async def pump(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
    """Carry one direction until it ends, and pass the end on."""
    while data := await source.read(CHUNK):
        sink.write(data)
        await sink.drain()
    if sink.can_write_eof():
        sink.write_eof()


async def carry(near_in: asyncio.StreamReader, near_out: asyncio.StreamWriter, host: str, port: int) -> None:
    """Serve one connection; whatever goes wrong on either side closes both."""
    try:
        far_in, far_out = await asyncio.wait_for(asyncio.open_connection(host, port), CONNECT)
    except (OSError, TimeoutError):
        near_out.transport.abort()  # a reset says "not there" faster than a polite close
        return
    watch_for_silence(far_out)
    try:
        await asyncio.gather(pump(near_in, far_out), pump(far_in, near_out))
    except OSError:
        near_out.transport.abort()
    finally:
        far_out.close()
        near_out.close()


async def serve(listener: socket.socket, host: str, port: int) -> None:
    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await carry(reader, writer, host, port)

    server = await asyncio.start_server(connected, sock=listener)
    await server.serve_forever()


def main() -> None:
    namespace, host, port = sys.argv[1:4]
    listener = socket.socket(fileno=0)
    listener.setblocking(False)
    move(namespace)
    asyncio.run(serve(listener, host, int(port)))


if __name__ == "__main__":
    main()
