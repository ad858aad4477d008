"""Who is in the middle: of two balancers that have lost each other, it leaves one out, so that the others can agree.

Totem takes it that members see one another or don't. Where two are cut off from each other and others see both, one of
the two is left out of each membership, and its next word to those in the middle begins another one, before anything
could be agreed on (corosync issue 750): nobody has a majority for as long as that lasts. So this program looks whether
somebody is left out again and again who was heard here all along, and lets nothing of Corosync's in from there. The
one that the last memberships did without it is: the ring that is being formed stays as it is.

What it shuts out is as if it were cut off from here as well, which Corosync and the address's lease bear as they bear
any cut. It comes back with the first membership that is formed afterwards: one that the other end begins, because it
hears it again, or any failure. Where no such comes it is tried after a while, later each time: two balancers that are
wrong about a third at once would never hear of it.

It runs on balancers as it stands, with Python's standard library alone (``middle.py --help``).
"""

from __future__ import annotations

import argparse
import ctypes
import signal
import socket
import struct
import subprocess
import sys
import time
from collections.abc import Collection
from contextlib import suppress
from dataclasses import dataclass, field
from types import FrameType

TICK = 0.2
PAUSE = 1.0
"""Seconds without a word after which a peer isn't taken for alive. Its pings alone are five in that."""
KNOWN = 5.0
"""Seconds for which a peer must have been heard before it can be missed: one that comes gets time to join."""
APART = 0.5
"""Seconds between the first membership without a peer and one that proves it. Agreeing without somebody takes as long
as Corosync's consensus of three; what is closer is the first one being mended."""
FORGOTTEN = 5.0
"""Seconds without a new membership after which what was missed before counts no more."""
SETTLED = 3.0
"""Seconds in which the ring that was under way is formed once one is left out: that isn't yet the way back."""
FIRST, LONGEST = 60.0, 3600.0
"""Seconds until who was left out is tried again: the first time, and at most."""
CALM = 60.0
"""Seconds of one membership of all after which the next time is a first one."""
LIFETIME, RENEWAL = 5, 1.0
"""Seconds for which the kernel shuts somebody out unless told again, and between two times it is told."""
TABLE = "groundplane-middle"
_NEVER = float("-inf")


@dataclass(frozen=True)
class Peer:
    """Another balancer. ``number`` is Corosync's."""

    number: int
    name: str
    address: str


def peer(text: str) -> Peer:
    """A peer as the command line has it: NUMBER,NAME,ADDRESS."""
    number, name, address = text.split(",")
    return Peer(int(number), name, address)


@dataclass(frozen=True)
class Look:
    """What there is to be seen. ``ring`` names the membership that Corosync formed last (node, sequence), whether or
    not anything was agreed on in it since; ``members`` are the peers in it. ``heard`` are the peers whose Corosync was
    heard since the last look."""

    ring: tuple[int, int]
    members: frozenset[int]
    heard: frozenset[int]


@dataclass
class Middle:
    """Decides who is left out; pure, all times in seconds of one monotonic clock.

    ``out`` are the numbers of those that are, ``why`` says what the last decision rests on.
    """

    peers: frozenset[int]
    out: frozenset[int] = frozenset()
    why: str = ""
    _ring: tuple[int, int] | None = None
    _formed: float = _NEVER  # when that was seen first
    _heard: dict[int, float] = field(default_factory=dict)  # when each was heard last
    _known: dict[int, float] = field(default_factory=dict)  # since when without a pause
    _missed: dict[int, float] = field(default_factory=dict)  # the first membership of several in a row without it
    _since: float = _NEVER  # when somebody was left out
    _wait: float = 0.0

    def decide(self, now: float, look: Look | None) -> bool:
        """Take in what is seen, None where Corosync can't be asked. Return whether ``out`` has changed."""
        before = self.out
        if look is None:
            self._ring = None
            self._known.clear()
            self._let_in("Corosync can't be asked")
            return self.out != before
        for number in self.peers:
            if number in look.heard:
                self._heard[number] = now
                self._known.setdefault(number, now)
            elif now - self._heard.get(number, _NEVER) > PAUSE:
                self._known.pop(number, None)
        formed = self._ring not in (None, look.ring)
        self._ring = look.ring
        if formed:
            self._count(now, look.members)
        if self.out and formed and now - self._since > SETTLED:
            self._let_in("a new membership was formed")
        elif self.out and now - self._since > self._wait:
            self._let_in(f"to try it again after {self._wait:.0f} s")
        elif not self.out and look.members == self.peers and now - self._formed > CALM:
            self._wait = 0.0
        return self.out != before

    def _count(self, now: float, members: frozenset[int]) -> None:
        """A membership was formed. Whoever was missed before as well is left out."""
        if now - self._formed > FORGOTTEN:
            self._missed.clear()
        self._formed = now
        if 2 * (1 + len(members)) <= 1 + len(self.peers):
            return  # no majority: this one isn't in the middle, or nobody is
        for number in self.peers:
            if number in members or not self._lives(now, number):
                self._missed.pop(number, None)
            else:
                self._missed.setdefault(number, now)
        # Heard since: what came before may have waited for this program, and its sender may be gone.
        proven = {n for n, first in self._missed.items() if now - first > APART and self._heard[n] > first}
        more = proven - self.out
        if more:
            if not self.out:
                self._wait = min(2 * self._wait, LONGEST) or FIRST
            self.out, self._since = self.out | more, now
            self.why = "heard here, yet memberships are formed without it again and again"

    def _lives(self, now: float, number: int) -> bool:
        return now - self._known.get(number, now) >= KNOWN

    def _let_in(self, why: str) -> None:
        if self.out:
            self.out, self.why = frozenset(), why
            self._missed.clear()


class _RingId(ctypes.Structure):
    """votequorum_ring_id_t."""

    _fields_ = [("node", ctypes.c_uint32), ("sequence", ctypes.c_uint64)]


_NODES = ctypes.CFUNCTYPE(
    None, ctypes.c_uint64, ctypes.c_uint64, _RingId, ctypes.c_uint32, ctypes.POINTER(ctypes.c_uint32)
)
"""votequorum_nodelist_notification_fn_t: handle, context, ring, how many members, members."""


class Corosync:
    """Asks the local Corosync (votequorum_trackstart(3)): of all it can be asked, that alone is answered before a new
    membership has agreed on anything, which here it never does (``cs_ipcs_check_for_flow_control`` in its
    exec/ipc_glue.c). A call doesn't return while Corosync hangs: what is shut out comes back by the kernel's clock.
    """

    _OK = 1  # CS_OK
    _CURRENT = 1  # CS_TRACK_CURRENT: once
    _ALL = 2  # CS_DISPATCH_ALL: what has come, without waiting

    def __init__(self) -> None:
        self._library = ctypes.CDLL("libvotequorum.so.8")
        self._callback = _NODES(self._told)  # Corosync's library has but its address
        self._callbacks = (ctypes.c_void_p * 3)(None, None, ctypes.cast(self._callback, ctypes.c_void_p))
        self._handle: ctypes.c_uint64 | None = None
        self._ring: tuple[int, int] | None = None
        self._members: frozenset[int] = frozenset()

    def ask(self) -> tuple[tuple[int, int], frozenset[int]] | None:
        """Return the ring and all its members, None where it can't be asked."""
        if self._handle is None:
            handle = ctypes.c_uint64(0)
            if self._library.votequorum_initialize(ctypes.byref(handle), self._callbacks) != self._OK:
                return None
            self._handle = handle
        self._ring = None
        asked = self._library.votequorum_trackstart(self._handle, ctypes.c_uint64(0), ctypes.c_uint(self._CURRENT))
        if asked != self._OK or self._library.votequorum_dispatch(self._handle, self._ALL) != self._OK:
            self._library.votequorum_finalize(self._handle)
            self._handle = None
            return None
        return None if self._ring is None else (self._ring, self._members)

    def _told(self, _: int, __: int, ring: _RingId, count: int, members: ctypes._Pointer[ctypes.c_uint32]) -> None:
        self._ring, self._members = (ring.node, ring.sequence), frozenset(members[:count])


class Ear:
    """Hears who sends to ``port``, what is shut out not included (raw(7))."""

    _ATTACH_FILTER = 26  # SO_ATTACH_FILTER, socket(7)

    def __init__(self, port: int) -> None:
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_UDP)
        self._socket.setblocking(False)
        # Classic BPF, so that nothing else is kept: the port behind the IP header; one byte of what has it, else none.
        program = b"".join(
            struct.pack("HBBI", *step)
            for step in ((0xB1, 0, 0, 0), (0x48, 0, 0, 2), (0x15, 0, 1, port), (0x06, 0, 0, 1), (0x06, 0, 0, 0))
        )
        room = ctypes.create_string_buffer(program, len(program))
        filter_ = struct.pack("HP", len(program) // 8, ctypes.addressof(room))
        self._socket.setsockopt(socket.SOL_SOCKET, self._ATTACH_FILTER, filter_)

    def heard(self) -> frozenset[str]:
        """The addresses of those that have sent something since it was asked before."""
        found = set[str]()
        with suppress(BlockingIOError):
            while True:
                found.add(self._socket.recvfrom(1)[1][0])
        return frozenset(found)


def ruleset(addresses: Collection[str], port: int) -> str:
    """What nft(8) is told: the table anew, or none where nobody is left out.

    They may hear: Corosync's transport soon stops sending to those that don't answer it, and a packet dropped on its
    way out would be an error to it (EPERM).
    """
    gone = f"add table inet {TABLE}\ndelete table inet {TABLE}\n"
    if not addresses:
        return gone
    elements = ", ".join(f"{address} timeout {LIFETIME}s" for address in sorted(addresses))
    return f"""{gone}\
table inet {TABLE} {{
    set out {{ type ipv4_addr; flags timeout; elements = {{ {elements} }}; }}
    chain incoming {{
        type filter hook input priority filter; policy accept;
        ip saddr @out udp dport {port} drop
    }}
}}
"""


def shut_out(addresses: Collection[str], port: int) -> None:
    """Raises OSError where there is no nft, CalledProcessError where it refuses."""
    subprocess.run(["nft", "-f", "-"], input=ruleset(addresses, port), text=True, check=True)


def _look(peers: Collection[Peer], corosync: Corosync, ear: Ear) -> Look | None:
    said, heard = corosync.ask(), ear.heard()
    if said is None:
        return None
    ring, members = said
    return Look(
        ring,
        members=frozenset(peer.number for peer in peers if peer.number in members),
        heard=frozenset(peer.number for peer in peers if peer.address in heard),
    )


def watch(peers: Collection[Peer], port: int) -> None:
    """Look, decide, shut out or let in, for ever."""
    middle, corosync, ear = Middle(frozenset(peer.number for peer in peers)), Corosync(), Ear(port)
    told = _NEVER
    while True:
        before, look = middle.out, _look(peers, corosync, ear)
        changed = middle.decide(time.monotonic(), look)
        if changed or (middle.out and time.monotonic() - told > RENEWAL):
            shut_out([peer.address for peer in peers if peer.number in middle.out], port)
            told = time.monotonic()
        if changed:
            names = ", ".join(peer.name for peer in peers if peer.number in before | middle.out)
            print(f"{'left out' if middle.out else 'let in again'}: {names}; {middle.why}", flush=True)
        time.sleep(TICK)


def main() -> None:
    parser = argparse.ArgumentParser(description="Lets balancers agree where two of them have lost each other.")
    parser.add_argument("--port", type=int, required=True, help="Corosync's, UDP")
    parser.add_argument("peers", type=peer, nargs="+", metavar="NUMBER,NAME,ADDRESS", help="every other balancer")
    options = parser.parse_args()

    def end(_: int, __: FrameType | None) -> None:
        sys.exit(0)

    signal.signal(signal.SIGTERM, end)
    shut_out([], options.port)
    try:
        watch(options.peers, options.port)
    finally:
        shut_out([], options.port)


if __name__ == "__main__":
    main()
