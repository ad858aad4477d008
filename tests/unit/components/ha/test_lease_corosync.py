"""What the lease asks Corosync for, and when, by its libraries' own calling conventions."""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from typing import Any

import pytest

from groundplane.components.pacemaker import lease
from groundplane.components.pacemaker.lease import Corosync, Proof

OK, TRY_AGAIN, NO_SECTIONS = 1, 6, 27


class Libraries:
    """libcmap, libquorum and libvotequorum of a Corosync of three nodes, of which this one is the first."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.settings: dict[str, bytes] = {
            "stats.srp.orf_token_rx": (0).to_bytes(8, "little"),
            "runtime.votequorum.this_node_id": (1).to_bytes(4, "little"),
        }
        for place, node in enumerate((1, 2, 3)):
            self.settings[f"nodelist.node.{place}.nodeid"] = node.to_bytes(4, "little")
            self.settings[f"nodelist.node.{place}.name"] = f"lb{node}".encode() + b"\0"
        self.ring = lease._Ring(1, 8)
        self.told: list[Callable[[], object]] = []
        self.closed = 0
        self._iterated: list[str] = []

    def form(self, *members: int, joined: tuple[int, ...] = ()) -> Callable[[], None]:
        """A new membership is formed; what is returned has it decided on."""
        self.ring = ring = lease._Ring(1, self.ring.sequence + 4)

        def decide() -> None:
            everybody, new = (ctypes.c_uint32 * len(members))(*members), (ctypes.c_uint32 * 4)(*joined)
            self.told.append(lambda: self._see(3, ring, len(members), everybody, len(joined), new, 0, new))
            self.told.append(lambda: self._decide(3, int(len(members) > 1), ring, len(members), everybody))

        return decide

    def cmap_get(self, _: Any, key: bytes, room: Any, size: Any, __: Any) -> int:
        self.asked.append(key.decode())
        value = self.settings[key.decode()]
        room.raw = value.ljust(len(room), b"\0")
        size._obj.value = len(value)
        return OK

    def cmap_iter_init(self, _: Any, prefix: bytes, __: Any) -> int:
        self._iterated = [key for key in self.settings if key.startswith(prefix.decode())]
        return OK

    def cmap_iter_next(self, _: Any, __: Any, key: Any, ___: None, ____: None) -> int:
        if not self._iterated:
            return NO_SECTIONS
        key.value = self._iterated.pop().encode()
        return OK

    def quorum_model_initialize(self, _: Any, model: int, callbacks: Any, __: Any, ___: None) -> int:
        assert model == callbacks._obj.model == 1
        self._decide, self._see = callbacks._obj.decided, callbacks._obj.seen
        return OK

    def quorum_trackstart(self, *_: Any) -> int:
        self.form(1, 2, 3)()
        return OK

    def quorum_dispatch(self, *_: Any) -> int:
        while self.told:
            self.told.pop(0)()
        return OK

    def votequorum_initialize(self, _: Any, callbacks: Any) -> int:
        self._form = ctypes.cast(callbacks[2], lease._FORMED)
        return OK

    def votequorum_trackstart(self, *_: Any) -> int:
        self.asked.append("the last membership")
        return OK

    def votequorum_dispatch(self, *_: Any) -> int:
        self._form(4, 0, self.ring, 0, None)
        return OK

    def fine(self, *_: Any) -> int:
        return OK

    cmap_initialize = cmap_initialize_map = cmap_iter_finalize = fine

    def end(self, _: Any) -> int:
        self.closed += 1
        return OK

    cmap_finalize = quorum_finalize = votequorum_finalize = end


@pytest.fixture
def libraries(monkeypatch: pytest.MonkeyPatch) -> Libraries:
    found = Libraries()
    monkeypatch.setattr(ctypes, "CDLL", lambda _: found)
    return found


def test_it_asks_for_its_tokens_alone_once_it_knows_the_nodes(libraries: Libraries) -> None:
    corosync = Corosync()
    proof = corosync.ask()
    assert proof is not None
    assert proof.quorate
    assert {node for node, _ in proof.others} == {2, 3}
    assert proof.peers == {"lb2", "lb3"}
    libraries.asked.clear()
    libraries.settings["stats.srp.orf_token_rx"] = (7).to_bytes(8, "little")
    assert corosync.ask() == Proof(True, 7, proof.others, proof.peers)
    assert libraries.asked == ["the last membership", "stats.srp.orf_token_rx"]


def test_while_a_membership_agrees_on_what_it_is_nothing_else_is_asked_for(libraries: Libraries) -> None:
    corosync = Corosync()
    assert corosync.ask()
    decide = libraries.form(1, 2)
    libraries.asked.clear()
    assert corosync.ask() is None
    assert libraries.asked == ["the last membership"]
    decide()
    proof = corosync.ask()
    assert proof is not None
    assert proof.quorate
    assert {node for node, _ in proof.others} == {2}


def test_who_left_and_is_back_is_another_one(libraries: Libraries) -> None:
    corosync = Corosync()
    before = corosync.ask()
    libraries.form(1, 2)()
    libraries.form(1, 2, 3, joined=(3,))()
    after = corosync.ask()
    assert before is not None
    assert after is not None
    assert {node for node, _ in after.others - before.others} == {3}
    libraries.form(1, 2, 3, joined=(2,))()  # out and in again within one membership
    again = corosync.ask()
    assert again is not None
    assert {node for node, _ in again.others - after.others} == {2}


def test_a_membership_that_is_decided_on_while_it_is_asked_proves_nothing(
    libraries: Libraries, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The answer may have waited for that, and the token is one of a ring that is gone."""
    corosync = Corosync()
    assert corosync.ask()
    get = libraries.cmap_get

    def slow(*arguments: Any) -> int:
        libraries.form(1, 2)()
        return get(*arguments)

    with monkeypatch.context() as meanwhile:
        meanwhile.setattr(libraries, "cmap_get", slow)
        assert corosync.ask() is None
    assert corosync.ask()


def test_no_majority_is_said(libraries: Libraries) -> None:
    corosync = Corosync()
    assert corosync.ask()
    libraries.form(1)()
    proof = corosync.ask()
    assert proof is not None
    assert not proof.quorate
    assert proof.others == frozenset()


def test_whoever_does_not_answer_is_asked_anew(libraries: Libraries, monkeypatch: pytest.MonkeyPatch) -> None:
    corosync = Corosync()
    assert corosync.ask()
    with monkeypatch.context() as meanwhile:
        meanwhile.setattr(libraries, "quorum_dispatch", lambda *_: TRY_AGAIN)
        assert corosync.ask() is None
    assert libraries.closed == 4
    assert corosync.ask()
