"""The lease on the floating address: a balancer that hangs loses it by the kernel's own clock.

Nothing here can switch a hung machine off, yet its kernel would go on answering for the address while the other
balancer takes it over. So the kernel lets ARP and IP for the address in only while a set of nftables holds it, and
entries of that set expire after a moment. This program renews the entry for as long as Corosync's token goes round and
this side has the majority. Where it, Corosync or the whole machine stops, the entry runs out before the others can
have agreed that this member is gone.

It runs on balancers as it stands, with Python's standard library alone (``lease.py --help``). Pacemaker's agent makes
the file ``armed`` when the address starts here, and ``leaving`` before it stops, so that new connections ask again and
reach the next owner while the requests under way are answered. When this side was cut off for so long that another may
have taken over, the program takes ``armed`` and the address away, and Pacemaker decides anew.
"""

from __future__ import annotations

import argparse
import ctypes
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

TICK = 0.03
AGAIN = 0.3
"""Seconds for which tokens must have gone round after a pause. A machine that hung finds tokens of a ring that is gone
waiting for it: they come all at once, are answered by nobody, and prove nothing."""
BESIDE = 0.2
"""Seconds between two looks whether an agent that knows no lease still holds the address."""
LEAVING = 0.4
"""Seconds for which no new connection is let in when the address is about to leave."""
TABLE = "groundplane-lease"


@dataclass(frozen=True)
class Proof:
    """What Corosync says. ``tokens`` counts tokens received, so it says when one arrived last only by having grown.

    ``others`` are the other members that are joined, each with how often it joined.
    """

    quorate: bool
    tokens: int
    others: frozenset[tuple[int, int]]


@dataclass
class Lease:
    """Decides how long the address may still be answered for; pure, all times in seconds of one monotonic clock.

    ``length`` must be less than the shortest time in which the other members can agree that this one is gone.
    """

    length: float
    _asked: float | None = None  # when Corosync was asked last
    _tokens: int = -1
    _proven: float | None = None  # a token is known to have arrived after this moment, in a majority
    _others: frozenset[tuple[int, int]] = frozenset()
    _again: float | None = None  # since when tokens have been arriving after a pause

    def watch(self, now: float, proof: Proof | None) -> None:
        """The address doesn't run here. Should it come, the next token proves what it needs to."""
        self.forget()
        if proof is not None:
            self._asked, self._tokens = now, proof.tokens

    def forget(self) -> None:
        """Nothing is proven any more."""
        self._asked = self._proven = self._again = None

    def renew(self, now: float, proof: Proof | None) -> float | None:
        """Return the seconds granted from ``now`` (0: none now), None when another may have taken the address over."""
        if proof is None:
            self._asked = self._again = None
            return 0.0
        since, arrived = self._asked, self._tokens != proof.tokens
        self._asked, self._tokens = now, proof.tokens
        # A token came after the previous question: that moment is what is known for sure.
        left = 0.0 if since is None else self.length - (now - since)
        if left <= 0 or not proof.quorate:
            self._again = None
        if since is None or left <= 0 or not arrived or not proof.quorate:
            return 0.0
        if self._proven is not None and since - self._proven > self.length:
            if proof.others - self._others:
                return None
            if self._again is None:
                self._again = now
            if now - self._again < AGAIN:
                return 0.0
        self._proven, self._others, self._again = since, proof.others, None
        return left


class Corosync:
    """Asks the local Corosync through its own libraries (cmap_get(3), quorum_getquorate(3)).

    A call doesn't return while Corosync hangs, which is as good as a no: nothing is renewed meanwhile.
    """

    _OK = 1  # CS_OK
    _STATS = 1  # CMAP_MAP_STATS

    _MEMBERS = "runtime.members."

    def __init__(self) -> None:
        self._cmap = ctypes.CDLL("libcmap.so.4")
        self._quorum = ctypes.CDLL("libquorum.so.5")
        self._handles: tuple[ctypes.c_uint64, ctypes.c_uint64, ctypes.c_uint64] | None = None

    def ask(self) -> Proof | None:
        """Return what it says now, None when it can't be asked."""
        if self._handles is None and not self._connect():
            return None
        assert self._handles is not None
        settings, statistics, quorum = self._handles
        quorate = ctypes.c_int(0)
        tokens = self._number(statistics, "stats.srp.orf_token_rx")
        if tokens is None or self._quorum.quorum_getquorate(quorum, ctypes.byref(quorate)) != self._OK:
            self._disconnect()
            return None
        return Proof(quorate=bool(quorate.value), tokens=tokens, others=self._others(settings))

    def _others(self, settings: ctypes.c_uint64) -> frozenset[tuple[int, int]]:
        """Whoever is joined besides this one: asked each time, since members come and go while the address stays."""
        own = self._number(settings, "runtime.votequorum.this_node_id")
        return frozenset(
            (node, self._number(settings, f"{self._MEMBERS}{node}.join_count") or 0)
            for node in self._members(settings)
            if node != own and self._text(settings, f"{self._MEMBERS}{node}.status") == "joined"
        )

    def _members(self, settings: ctypes.c_uint64) -> frozenset[int]:
        """The numbers of all members there have been since Corosync began (cmap_iter_init(3))."""
        iterator, found = ctypes.c_uint64(0), set[int]()
        if self._cmap.cmap_iter_init(settings, self._MEMBERS.encode(), ctypes.byref(iterator)) != self._OK:
            return frozenset()
        key = ctypes.create_string_buffer(256)  # CMAP_KEYNAME_MAXLEN and its end
        while self._cmap.cmap_iter_next(settings, iterator, key, None, None) == self._OK:
            number = key.value.decode(errors="replace")[len(self._MEMBERS) :].partition(".")[0]
            if number.isdigit():
                found.add(int(number))
        self._cmap.cmap_iter_finalize(settings, iterator)
        return frozenset(found)

    def _connect(self) -> bool:
        settings, statistics, quorum = ctypes.c_uint64(0), ctypes.c_uint64(0), ctypes.c_uint64(0)
        kind, callbacks = ctypes.c_uint32(0), (ctypes.c_void_p * 2)()
        if self._cmap.cmap_initialize(ctypes.byref(settings)) != self._OK:
            return False
        if self._cmap.cmap_initialize_map(ctypes.byref(statistics), self._STATS) != self._OK:
            self._cmap.cmap_finalize(settings)
            return False
        if self._quorum.quorum_initialize(ctypes.byref(quorum), callbacks, ctypes.byref(kind)) != self._OK:
            self._cmap.cmap_finalize(settings)
            self._cmap.cmap_finalize(statistics)
            return False
        self._handles = settings, statistics, quorum
        return True

    def _disconnect(self) -> None:
        if self._handles is not None:
            settings, statistics, quorum = self._handles
            self._cmap.cmap_finalize(settings)
            self._cmap.cmap_finalize(statistics)
            self._quorum.quorum_finalize(quorum)
            self._handles = None

    def _value(self, handle: ctypes.c_uint64, key: str) -> bytes | None:
        room = ctypes.create_string_buffer(64)
        size, kind = ctypes.c_size_t(len(room)), ctypes.c_int(0)
        got = self._cmap.cmap_get(handle, key.encode(), room, ctypes.byref(size), ctypes.byref(kind))
        return room.raw[: size.value] if got == self._OK else None

    def _number(self, handle: ctypes.c_uint64, key: str) -> int | None:
        value = self._value(handle, key)
        return None if value is None else int.from_bytes(value, sys.byteorder)

    def _text(self, handle: ctypes.c_uint64, key: str) -> str:
        return (self._value(handle, key) or b"").split(b"\0")[0].decode(errors="replace")


class Gate:
    """The kernel's side: what is let in for the address (nft(8), netdev family, so that ARP is seen too)."""

    def __init__(self, address: str, card: str) -> None:
        self._address = address
        self._card = card
        self._nft = ctypes.CDLL("libnftables.so.1")
        self._nft.nft_ctx_new.restype = ctypes.c_void_p
        self._nft.nft_ctx_get_error_buffer.restype = ctypes.c_char_p
        self._context = ctypes.c_void_p(self._nft.nft_ctx_new(0))
        self._nft.nft_ctx_buffer_output(self._context)
        self._nft.nft_ctx_buffer_error(self._context)

    def install(self) -> None:
        """Let nothing in for the address until ``open``. Raises OSError when the kernel refuses.

        While it is in ``leaving``, it is answered for, but no new connection is let in.
        """
        table, address = f"netdev {TABLE}", self._address
        self._run(
            f"add table {table}",
            f"delete table {table}",
            f"add table {table}",
            f"add set {table} held {{ type ipv4_addr; flags timeout; }}",
            f"add set {table} leaving {{ type ipv4_addr; flags timeout; }}",
            f'add chain {table} incoming {{ type filter hook ingress device "{self._card}" priority -500; }}',
            f"add rule {table} incoming ether type arp arp daddr ip {address} arp daddr ip != @held drop",
            f"add rule {table} incoming ip daddr {address} ip daddr != @held drop",
            f"add rule {table} incoming ip daddr @leaving tcp flags & (fin | syn | rst | ack) == syn drop",
        )

    def open(self, seconds: float) -> None:
        """Let it in for that long, counted from now. Flushing first works where an entry's time can't be changed."""
        entry = f"{{ {self._address} timeout {max(1, int(seconds * 1000))}ms }}"
        self._run(f"flush set netdev {TABLE} held", f"add element netdev {TABLE} held {entry}")

    def keep_new_out(self) -> None:
        """Let no new connection in, for longer than the address may take to leave."""
        self._run(f"add element netdev {TABLE} leaving {{ {self._address} timeout {int(LEAVING * 1000)}ms }}")

    def close(self) -> None:
        self._run(f"flush set netdev {TABLE} held")

    def _run(self, *commands: str) -> None:
        if self._nft.nft_run_cmd_from_buffer(self._context, "\n".join(commands).encode()) != 0:
            raise OSError(str(self._nft.nft_ctx_get_error_buffer(self._context), "utf-8", "replace").strip())


@dataclass
class Keeper:
    """One round of the loop: ask, decide, set the gate. ``drop`` takes the address off the card.

    ``armed`` is there while the address runs here; ``leaving`` appears when it is about to leave.
    """

    lease: Lease
    gate: Gate
    ask: Callable[[], Proof | None]
    armed: Path
    leaving: Path
    drop: Callable[[], None]
    clock: Callable[[], float] = time.monotonic
    _open: bool = False

    def round(self) -> None:
        if not self.armed.exists():
            self._shut()
            now = self.clock()
            self.lease.watch(now, self.ask())
            return
        if self.leaving.exists():
            self.gate.keep_new_out()
            self.leaving.unlink(missing_ok=True)
        now = self.clock()
        granted = self.lease.renew(now, self.ask())
        if granted is None:
            self._shut()
            self.lease.forget()
            self.drop()
            self.armed.unlink(missing_ok=True)
            print("cut off for too long: the address may have been taken over, so it is given up here", flush=True)
        elif granted:
            granted -= self.clock() - now
            if granted > 0:
                self.gate.open(granted)
                self._open = True
            if self.clock() - now > granted:  # held up in between: what was opened may be open for too long
                self._shut()

    def _shut(self) -> None:
        if self._open:
            self.gate.close()
            self._open = False


def _ready() -> None:
    """Tell systemd that the gate stands (sd_notify(3))."""
    path = os.environ.get("NOTIFY_SOCKET")
    if path:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notify:
            notify.connect("\0" + path[1:] if path.startswith("@") else path)
            notify.send(b"READY=1")


def main() -> None:
    parser = argparse.ArgumentParser(description="Keeps a lease on the floating address.")
    parser.add_argument("--address", required=True)
    parser.add_argument("--card", required=True)
    parser.add_argument("--length", type=int, required=True, help="of the lease, in milliseconds")
    parser.add_argument("--armed", type=Path, required=True, help="the file that says the address runs here")
    parser.add_argument("--leaving", type=Path, required=True, help="the file that says that the address will leave")
    options = parser.parse_args()

    def address(*words: str) -> bytes:
        """What ``ip address`` says."""
        command = ["ip", "-oneline", "-4", "address", *words]
        return subprocess.run(command, check=False, capture_output=True).stdout

    def drop() -> None:
        address("delete", f"{options.address}/32", "dev", options.card)

    def held_without_lease() -> bool:
        """Whether another agent holds the address here, one that an older configuration names."""
        here = address("show", "dev", options.card, "to", f"{options.address}/32")
        return bool(here) and not options.armed.exists()

    def end(_: int, __: FrameType | None) -> None:
        sys.exit(0)

    signal.signal(signal.SIGTERM, end)
    gate = Gate(options.address, options.card)
    if held_without_lease():
        _ready()
        # Shutting it out now would last until that configuration has changed.
        while held_without_lease():
            time.sleep(BESIDE)
    else:
        options.armed.unlink(missing_ok=True)
    gate.install()
    corosync = Corosync()
    keeper = Keeper(Lease(options.length / 1000), gate, corosync.ask, options.armed, options.leaving, drop)
    _ready()
    while True:
        keeper.round()
        time.sleep(TICK)


if __name__ == "__main__":
    main()
