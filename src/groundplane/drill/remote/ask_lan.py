"""Asks the LAN who has the floating address, again and again, and collects everybody who answers each time.

One JSON line per question. The question comes from a MAC address nobody has and from no IP address (RFC 5227), so the
answers teach neither this computer nor any machine where the address is: clients have to find out by themselves, as
they would without a drill. The card listens to everything on the wire for that.

Arguments: the address asked for, this computer's own on the LAN, and the seconds between two questions. Ends with its
standard input, so it never outlives whoever started it.
"""

from __future__ import annotations

import fcntl
import json
import os
import select
import socket
import struct
import sys
import time

ARP = 0x0806
REQUEST, REPLY = 1, 2
ASKER = bytes.fromhex("026770647231")
"""A locally administered address (IEEE 802) that no machine of ours has."""
FRAME = "!6s6sHHHBBH6s4s6s4s"
SOL_PACKET, ADD_MEMBERSHIP, PROMISCUOUS = 263, 1, 1
SIOCGIFADDR = 0x8915


def card_with(address: bytes) -> str:
    """The name of the card that has this address."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        for _, name in socket.if_nameindex():
            try:
                found = fcntl.ioctl(any_socket, SIOCGIFADDR, struct.pack("256s", name.encode()))
            except OSError:
                continue
            if found[20:24] == address:
                return name
    raise SystemExit("no card of this computer is on the LAN")


def question(wanted: bytes) -> bytes:
    nobody = bytes(4)
    return struct.pack(FRAME, b"\xff" * 6, ASKER, ARP, 1, 0x0800, 6, 4, REQUEST, ASKER, nobody, bytes(6), wanted)


def answerer(frame: bytes, wanted: bytes) -> str:
    """The MAC address that says in ``frame`` that it has the address, empty where the frame is something else."""
    if len(frame) < struct.calcsize(FRAME):
        return ""
    target, _, _, _, _, _, _, operation, mac, address, _, _ = struct.unpack_from(FRAME, frame)
    return mac.hex(":") if target == ASKER and operation == REPLY and address == wanted else ""


def main() -> None:
    wanted, own, every = socket.inet_aton(sys.argv[1]), socket.inet_aton(sys.argv[2]), float(sys.argv[3])
    card = card_with(own)
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ARP)) as wire:
        wire.bind((card, ARP))
        everything = struct.pack("iHH8s", socket.if_nametoindex(card), PROMISCUOUS, 0, b"")
        wire.setsockopt(SOL_PACKET, ADD_MEMBERSHIP, everything)
        due = time.monotonic()
        while ask(wire, wanted, due + every):
            due = max(due + every, time.monotonic())


def ask(wire: socket.socket, wanted: bytes, until: float) -> bool:
    """Ask once and listen until then; False when this program is to end."""
    begin = time.monotonic()
    wire.send(question(wanted))
    found: set[str] = set()
    while (left := until - time.monotonic()) > 0:
        ready, _, _ = select.select([wire, sys.stdin], [], [], left)
        if sys.stdin in ready:
            return False
        if wire in ready and (mac := answerer(wire.recv(2048), wanted)):
            found.add(mac)
    print(json.dumps({"at": begin, "macs": sorted(found)}), flush=True)
    return True


if __name__ == "__main__":
    try:
        main()
    except BrokenPipeError:
        os._exit(0)  # nobody reads any more
