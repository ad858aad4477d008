from __future__ import annotations

import errno
import socket
from pathlib import Path

import asyncssh
import pytest

from groundplane.errors import TransportError, Unreachable
from groundplane.transport.ssh_errors import explained, foreign
from groundplane.transport.ssh_library import Gone, HostKeyRefused, HostKeysUnreadable, KeyUnusable
from groundplane.transport.target import Target

TARGET = Target("cp1.example", Path("/etc/known"), port=2222, key=Path("/root/key"))

CASES = [
    (socket.gaierror(socket.EAI_NONAME, "unknown"), Unreachable, "cp1.example isn't known", "getent hosts"),
    (ConnectionRefusedError(errno.ECONNREFUSED, "no"), Unreachable, "nothing listens", "openssh-server"),
    (OSError(errno.EHOSTUNREACH, "no route"), Unreachable, "no way to cp1.example", "ip route get cp1.example"),
    (OSError(errno.EMFILE, "too many"), TransportError, "on this computer", "ulimit -n"),
    (ConnectionResetError(errno.ECONNRESET, "reset"), Unreachable, "was lost", "again"),
    (asyncssh.ConnectionLost("gone"), Unreachable, "was lost", "again"),
    (Gone("gone"), Unreachable, "was lost", "again"),
    (
        asyncssh.PermissionDenied("no more"),
        TransportError,
        "doesn't let us in with the key /root/key",
        "authorized_keys",
    ),
    (asyncssh.KeyExchangeFailed("none"), TransportError, "no secure connection", "ssh-keygen -l -F [cp1.example]:2222"),
    (asyncssh.ChannelOpenError(1, "limit"), TransportError, "refuses another session", "MaxSessions"),
    (KeyUnusable("passphrase"), TransportError, "the key /root/key can't be used", "ssh-add"),
    (HostKeysUnreadable("absent"), TransportError, "can't be read from /etc/known", "known_hosts"),
]


@pytest.mark.parametrize(("error", "kind", "what", "hint"), CASES, ids=[type(case[0]).__name__ for case in CASES])
def test_each_way_of_not_getting_through(error: Exception, kind: type[TransportError], what: str, hint: str) -> None:
    assert isinstance(error, foreign())
    said = explained(error, "cp1", TARGET)
    assert type(said) is kind
    assert what in said.what
    assert hint in said.hint
    assert said.where == "cp1"
    assert said.detail


def test_an_unknown_host_key_is_shown_with_how_to_accept_it() -> None:
    said = explained(HostKeyRefused("SHA256:new (ssh-ed25519)", ()), "cp1", TARGET)
    assert type(said) is TransportError
    assert "isn't known" in said.what
    assert "SHA256:new" in said.detail
    assert "/etc/known has none for [cp1.example]:2222" in said.detail
    assert "ssh-keyscan -p 2222 cp1.example" in said.hint
    assert "console" in said.hint


def test_a_changed_host_key_is_shown_beside_the_known_one() -> None:
    said = explained(HostKeyRefused("SHA256:new (ssh-ed25519)", ("SHA256:old (ssh-rsa)",)), "cp1", TARGET)
    assert "not the one that is known" in said.what
    assert "SHA256:new" in said.detail
    assert "/etc/known knows\n  SHA256:old" in said.detail
    assert "ssh-keygen -R [cp1.example]:2222" in said.hint


def test_every_error_of_the_library_is_ours_to_explain() -> None:
    kinds = [kind for kind in vars(asyncssh).values() if isinstance(kind, type) and issubclass(kind, asyncssh.Error)]
    assert len(kinds) > 8
    assert all(issubclass(kind, foreign()) for kind in kinds)
