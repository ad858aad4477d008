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

Of two balancers the one that is left alone, with the majority, has all it takes to serve clients, but Pacemaker needs
0.4 s more to elect itself and decide, and sleeps a second longer where that falls badly (do_pe_invoke_callback). So
the program takes the address beforehand (the file ``taken``) where Pacemaker said a moment ago that it would come here.
Pacemaker's start then finds it in place; where none comes, it is given back.
"""

from __future__ import annotations

import argparse
import ctypes
import os
import re
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Collection
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
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
CONFIGURED = 1.0
"""Seconds between two looks which balancers Corosync's configuration has."""
LOOK = 10.0
"""Seconds between two questions to Pacemaker what it would do. One takes a moment of a processor."""
DENIED = 2.0
"""Seconds until it is asked again where it said no, or nothing: it may have just begun."""
FRESH = 3 * LOOK
"""Seconds for which its answer is good: longer than it may take on a busy computer."""
CONFIRMED = 10.0
"""Seconds in which Pacemaker must have started the address that was taken beforehand. It takes one or two."""
TOLD = 1.0
"""Seconds for which neighbours are told of an address that was taken: one of them may miss a word."""
TABLE = "groundplane-lease"
_ARP = 0x0806
_NEVER = float("-inf")


@dataclass(frozen=True)
class Proof:
    """What Corosync says. ``tokens`` is how many it has received: where that has grown since it was asked before, one
    arrived in between. Nothing else says when.

    ``quorate``: this side has the majority, decided since the last member left.
    ``others`` are the other members that are joined, each with the ring it joined in; ``peers`` are the names of all
    others there could be.
    """

    quorate: bool
    tokens: int
    others: frozenset[tuple[int, int]]
    peers: frozenset[str] = frozenset()


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
        """The address doesn't run here. Where it comes, a token that arrives after this moment is proof enough."""
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


class _Ring(ctypes.Structure):
    """struct quorum_ring_id: which membership, whether or not anything was agreed on in it."""

    _fields_ = [("node", ctypes.c_uint32), ("sequence", ctypes.c_uint64)]


_Nodes = ctypes.POINTER(ctypes.c_uint32)
_FORMED = ctypes.CFUNCTYPE(None, ctypes.c_uint64, ctypes.c_uint64, _Ring, ctypes.c_uint32, _Nodes)
"""votequorum_nodelist_notification_fn_t: handle, context, ring, how many members, members."""
_SEEN = ctypes.CFUNCTYPE(
    None, ctypes.c_uint64, _Ring, ctypes.c_uint32, _Nodes, ctypes.c_uint32, _Nodes, ctypes.c_uint32, _Nodes
)
"""quorum_v1_nodelist_notification_fn_t: handle, ring, how many and which members, the same of joined, and of left."""
_DECIDED = ctypes.CFUNCTYPE(None, ctypes.c_uint64, ctypes.c_uint32, _Ring, ctypes.c_uint32, _Nodes)
"""quorum_v1_quorum_notification_fn_t: handle, whether quorate, ring, how many members, members."""


class _Model(ctypes.Structure):
    """quorum_model_v1_data_t."""

    _fields_ = [("model", ctypes.c_int), ("decided", _DECIDED), ("seen", _SEEN)]


class _Unanswered(Exception):
    """Corosync did not give what it was asked for."""


class Corosync:
    """Asks the local Corosync through its own libraries (cmap_get(3), quorum_trackstart(3), votequorum_trackstart(3)).

    A call doesn't return while Corosync hangs, which is as good as a no: nothing is renewed meanwhile. While a new
    membership agrees on what it is, only votequorum answers, so that it is asked first which is the last one formed:
    whoever asks for anything else then has Corosync run in circles at real-time priority for as long as that takes
    (``qb_ipcs_dispatch_connection_request`` in libqb), and Pacemaker, the third vote and, on a computer that they
    share, the other balancers wait for a processor.
    """

    _OK = 1  # CS_OK
    _NO_MORE = 27  # CS_ERR_NO_SECTIONS
    _STATS = 1  # CMAP_MAP_STATS
    _ALL = 2  # CS_DISPATCH_ALL: what has come, without waiting
    _CURRENT, _CHANGES = 1, 2  # CS_TRACK_CURRENT, CS_TRACK_CHANGES
    _MODEL = 1  # QUORUM_MODEL_V1, which tells of rings and who joined

    _NODES = "nodelist.node."

    def __init__(self) -> None:
        self._cmap = ctypes.CDLL("libcmap.so.4")
        self._quorum = ctypes.CDLL("libquorum.so.5")
        self._votequorum = ctypes.CDLL("libvotequorum.so.8")
        # Corosync's libraries have but the addresses of these.
        self._model = _Model(self._MODEL, _DECIDED(self._decide), _SEEN(self._see))
        self._form_callback = _FORMED(self._form)
        self._callbacks = (ctypes.c_void_p * 3)(None, None, ctypes.cast(self._form_callback, ctypes.c_void_p))
        self._ends: list[Callable[[], object]] = []  # what closes each of the connections
        self._settings, self._statistics = ctypes.c_uint64(0), ctypes.c_uint64(0)
        self._decisions, self._votes = ctypes.c_uint64(0), ctypes.c_uint64(0)
        self._formed = self._decided = (0, 0)
        self._quorate = False
        self._members: dict[int, int] = {}  # each with the number of the ring it joined in
        self._own = 0
        self._peers: frozenset[str] = frozenset()
        self._peers_at = _NEVER

    def ask(self) -> Proof | None:
        """Return what it says now, None when it can't be asked."""
        try:
            if not self._ends:
                self._connect()
            return self._proof()
        except _Unanswered:
            self._disconnect()
            return None

    def _proof(self) -> Proof | None:
        self._try(self._votequorum.votequorum_trackstart(self._votes, ctypes.c_uint64(0), self._CURRENT))
        self._try(self._votequorum.votequorum_dispatch(self._votes, self._ALL))
        if not self._agreed():
            return None
        tokens = self._number(self._statistics, "stats.srp.orf_token_rx")
        if not self._agreed():
            return None
        if time.monotonic() - self._peers_at > CONFIGURED:
            self._peers, self._peers_at = self._configured(), time.monotonic()
        others = frozenset((node, ring) for node, ring in self._members.items() if node != self._own)
        return Proof(self._quorate, tokens, others, self._peers)

    def _agreed(self) -> bool:
        """Take in what was decided; return whether that was in the last membership that was formed."""
        self._try(self._quorum.quorum_dispatch(self._decisions, self._ALL))
        return self._formed == self._decided

    def _form(self, _: int, __: int, ring: _Ring, *___: object) -> None:
        self._formed = ring.node, ring.sequence

    def _see(
        self,
        _: int,
        ring: _Ring,
        count: int,
        members: ctypes._Pointer[ctypes.c_uint32],
        joined_count: int,
        joined: ctypes._Pointer[ctypes.c_uint32],
        *__: object,
    ) -> None:
        stayed = self._members.keys() - set(joined[:joined_count])
        self._members = {node: self._members[node] if node in stayed else ring.sequence for node in members[:count]}

    def _decide(self, _: int, quorate: int, ring: _Ring, *__: object) -> None:
        self._decided, self._quorate = (ring.node, ring.sequence), bool(quorate)

    def _configured(self) -> frozenset[str]:
        """The names of all others that its configuration has."""
        return frozenset(
            self._value(self._settings, f"{self._NODES}{place}.name").split(b"\0")[0].decode(errors="replace")
            for place in self._places()
            if self._number(self._settings, f"{self._NODES}{place}.nodeid") != self._own
        )

    def _places(self) -> frozenset[int]:
        """The numbers by which its configuration has the nodes (cmap_iter_init(3))."""
        iterator, found = ctypes.c_uint64(0), set[int]()
        self._try(self._cmap.cmap_iter_init(self._settings, self._NODES.encode(), ctypes.byref(iterator)))
        key = ctypes.create_string_buffer(256)  # CMAP_KEYNAME_MAXLEN and its end
        while (got := self._cmap.cmap_iter_next(self._settings, iterator, key, None, None)) == self._OK:
            found.add(int(key.value[len(self._NODES) :].partition(b".")[0]))
        self._cmap.cmap_iter_finalize(self._settings, iterator)
        if got != self._NO_MORE:
            raise _Unanswered
        return frozenset(found)

    def _connect(self) -> None:
        self._formed = self._decided = (0, 0)
        self._quorate, self._members, self._peers_at = False, {}, _NEVER
        end = self._cmap.cmap_finalize
        self._open(self._settings, self._cmap.cmap_initialize, end)
        self._open(self._statistics, self._cmap.cmap_initialize_map, end, self._STATS)
        kind, model = ctypes.byref(ctypes.c_uint32(0)), ctypes.byref(self._model)
        begin, end = self._quorum.quorum_model_initialize, self._quorum.quorum_finalize
        self._open(self._decisions, begin, end, self._MODEL, model, kind, None)
        begin, end = self._votequorum.votequorum_initialize, self._votequorum.votequorum_finalize
        self._open(self._votes, begin, end, self._callbacks)
        self._own = self._number(self._settings, "runtime.votequorum.this_node_id")
        self._try(self._quorum.quorum_trackstart(self._decisions, self._CURRENT | self._CHANGES))

    def _open(
        self, handle: ctypes.c_uint64, begin: Callable[..., int], end: Callable[..., int], *arguments: object
    ) -> None:
        self._try(begin(ctypes.byref(handle), *arguments))
        self._ends.append(partial(end, handle))

    def _disconnect(self) -> None:
        while self._ends:
            self._ends.pop()()

    def _try(self, got: int) -> None:
        if got != self._OK:
            raise _Unanswered

    def _value(self, handle: ctypes.c_uint64, key: str) -> bytes:
        room = ctypes.create_string_buffer(64)
        size, kind = ctypes.c_size_t(len(room)), ctypes.c_int(0)
        self._try(self._cmap.cmap_get(handle, key.encode(), room, ctypes.byref(size), ctypes.byref(kind)))
        return room.raw[: size.value]

    def _number(self, handle: ctypes.c_uint64, key: str) -> int:
        return int.from_bytes(self._value(handle, key), sys.byteorder)


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


class Card:
    """The network card that bears the address."""

    def __init__(self, name: str, address: str) -> None:
        self._name = name
        self._address = address

    def has(self) -> bool:
        return bool(self._ip("show", "dev", self._name, "to", f"{self._address}/32"))

    def take(self) -> None:
        self._ip("replace", f"{self._address}/32", "dev", self._name)

    def drop(self) -> None:
        self._ip("delete", f"{self._address}/32", "dev", self._name)

    def tell(self) -> None:
        """Have all neighbours that know the address know where it is now (an ARP announcement, RFC 5227)."""
        mac = bytes.fromhex(Path(f"/sys/class/net/{self._name}/address").read_text().strip().replace(":", ""))
        own = mac + socket.inet_aton(self._address)
        frame = b"\xff" * 6 + mac + struct.pack("!HHHBBH", _ARP, 1, 0x0800, 6, 4, 1) + own + bytes(6) + own[6:]
        # One that isn't told finds out when it asks again.
        with suppress(OSError), socket.socket(socket.AF_PACKET, socket.SOCK_RAW) as wire:
            wire.bind((self._name, _ARP))
            wire.send(frame)

    @staticmethod
    def _ip(*words: str) -> bytes:
        """What ``ip address`` says."""
        command = ["ip", "-oneline", "-4", "address", *words]
        return subprocess.run(command, check=False, capture_output=True).stdout


class Heir:
    """Whether Pacemaker would have the address here, were this the only balancer. Its own scheduler says it, so bans,
    standby, maintenance and failures count as they would; it is asked now and then, beside the keeper's work.

    ``own`` is this balancer's name, ``resource`` the address's.
    """

    def __init__(
        self,
        own: str,
        resource: str,
        simulate: Callable[[Collection[str]], Simulation],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._own = own
        self._resource = resource
        self._simulate = simulate
        self._clock = clock
        self._asking: Simulation | None = None
        self._asked = _NEVER
        self._due = _NEVER
        self._until = _NEVER  # how long its last yes is good

    def look(self, peers: Collection[str]) -> None:
        """Take in what it says, and ask it again when it is time. Never waits."""
        now = self._clock()
        if self._asking is not None and (said := self._asking.said()) is not None:
            self._asking = None
            comes = comes_to(said, self._own, self._resource)
            self._due = now + (LOOK if comes else DENIED)
            self._until = self._asked + FRESH if comes else _NEVER
        if self._asking is None and now >= self._due:
            self._asked = now
            self._asking = self._simulate(peers)

    def forget(self) -> None:
        """What it said, or is about to say, may be no longer so."""
        self._asking, self._due, self._until = None, _NEVER, _NEVER

    def inherits(self) -> bool:
        return self._clock() < self._until


class Simulation:
    """Pacemaker's scheduler at work on what would be if ``peers`` were gone (crm_simulate(8)), at the priority of
    ordinary work and not the keeper's."""

    def __init__(self, peers: Collection[str]) -> None:
        gone = [f"--node-down={peer}" for peer in sorted(peers)]
        argv = ["timeout", str(LOOK), "nice", "-n", "15", "crm_simulate", "--live-check", "--quorum=true", *gone,
                "--simulate"]  # fmt: skip
        self._answer = tempfile.TemporaryFile()  # noqa: SIM115 - it is read when the process has ended
        self._process = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=self._answer, stderr=subprocess.DEVNULL)

    def said(self) -> bytes | None:
        """Its answer, in text: Pacemaker 3.0 leaves half of it out in XML. None while it is at work."""
        if self._process.poll() is None:
            return None
        with self._answer:
            self._answer.seek(0)
            return self._answer.read()


def comes_to(said: bytes, balancer: str, resource: str) -> bool:
    """Whether ``resource`` runs on ``balancer`` in the end, by what crm_simulate said."""
    after = said.decode(errors="replace").partition("Revised Cluster Status:")[2]
    line = rf"^[ *]*{re.escape(resource)}\s+\(ocf:\S+\):\s+Started {re.escape(balancer)}\s*$"
    return re.search(line, after, re.MULTILINE) is not None


@dataclass
class Keeper:
    """One round of the loop: ask, decide, set the gate.

    ``armed`` is there while the address runs here; ``leaving`` appears when it is about to leave; ``taken`` is there
    while it was taken and Pacemaker has yet to start it, which only the ``heir`` may do.
    """

    lease: Lease
    gate: Gate
    heir: Heir
    card: Card
    ask: Callable[[], Proof | None]
    armed: Path
    leaving: Path
    taken: Path
    clock: Callable[[], float] = time.monotonic
    _open: bool = False
    _since: float | None = None  # when the address was taken
    _company: bool = False  # whether another balancer was joined when the majority was decided last

    def round(self) -> None:
        armed = self.armed.exists()
        if armed and self.leaving.exists():
            self.gate.keep_new_out()
            self.leaving.unlink(missing_ok=True)
        now = self.clock()
        proof = self.ask()
        left_alone = self._left_alone(proof)
        if armed:
            self._confirmed()
        elif not self._holds_beforehand(now, proof, left_alone):
            self._shut()
            self.lease.watch(now, proof)
            if proof is not None and len(proof.peers) == 1:
                self.heir.look(proof.peers)
            return
        granted = self.lease.renew(now, proof)
        if granted is None:
            self._shut()
            self.lease.forget()
            self.card.drop()
            self.taken.unlink(missing_ok=True)
            self.armed.unlink(missing_ok=True)
            print("cut off for too long: the address may have been taken over, so it is given up here", flush=True)
        elif granted:
            granted -= self.clock() - now
            if granted > 0:
                self.gate.open(granted)
                self._open = True
                if self._since is not None and now - self._since < TOLD:
                    self.card.tell()
            if self.clock() - now > granted:  # held up in between: what was opened may be open for too long
                self._shut()

    def _left_alone(self, proof: Proof | None) -> bool:
        """Whether the majority was decided just now for this one alone, of two that were together before."""
        if proof is None or not proof.quorate:
            return False  # not decided yet, or against this side
        before, self._company = self._company, bool(proof.others)
        return before and not proof.others and len(proof.peers) == 1

    def _confirmed(self) -> None:
        """Pacemaker has the address here."""
        self.heir.forget()
        if self._since is not None:
            self.taken.unlink(missing_ok=True)
            self._since = None

    def _holds_beforehand(self, now: float, proof: Proof | None, left_alone: bool) -> bool:
        """Whether the address was taken, now or before, and Pacemaker has yet to start it here."""
        if self._since is None:
            if left_alone and not self.heir.inherits():
                print("left alone with the majority: whether the address comes here is Pacemaker's to say", flush=True)
            elif left_alone:
                self.taken.touch()
                self.card.take()
                self._since = now
                print("left alone with the majority: the address is taken until Pacemaker starts it here", flush=True)
        elif not self.taken.exists():  # Pacemaker has stopped it
            self._since = None
        elif now - self._since > CONFIRMED or (proof is not None and proof.others):
            print("Pacemaker did not start the address here: it is given back", flush=True)
            self._since = None
            if not self.armed.exists():
                self.card.drop()
            self.taken.unlink(missing_ok=True)
        return self._since is not None

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
    parser.add_argument("--resource", required=True, help="what Pacemaker calls the address")
    parser.add_argument("--balancer", required=True, help="what Pacemaker calls this balancer")
    parser.add_argument("--length", type=int, required=True, help="of the lease, in milliseconds")
    parser.add_argument("--armed", type=Path, required=True, help="the file that says the address runs here")
    parser.add_argument("--leaving", type=Path, required=True, help="the file that says that the address will leave")
    parser.add_argument("--taken", type=Path, required=True, help="the file that says that it was taken beforehand")
    options = parser.parse_args()

    def end(_: int, __: FrameType | None) -> None:
        sys.exit(0)

    signal.signal(signal.SIGTERM, end)
    card, gate = Card(options.card, options.address), Gate(options.address, options.card)
    if options.taken.exists():  # by this program, before it ended
        card.drop()
        options.taken.unlink()
    if card.has() and not options.armed.exists():
        _ready()
        # Another agent holds it, one that an older configuration names: shutting it out now would last until that has
        # changed.
        while card.has() and not options.armed.exists():
            time.sleep(BESIDE)
    else:
        options.armed.unlink(missing_ok=True)
    gate.install()
    keeper = Keeper(
        lease=Lease(options.length / 1000),
        gate=gate,
        heir=Heir(options.balancer, options.resource, Simulation),
        card=card,
        ask=Corosync().ask,
        armed=options.armed,
        leaving=options.leaving,
        taken=options.taken,
    )
    _ready()
    while True:
        keeper.round()
        time.sleep(TICK)


if __name__ == "__main__":
    main()
