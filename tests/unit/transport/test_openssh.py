from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from groundplane.errors import TransportError
from groundplane.transport.openssh import command, sit
from groundplane.transport.target import Target

TARGET = Target("192.0.2.1", Path("/etc/known"), port=2222, user="admin", key=Path("/root/key"))


def options(target: Target, *argv: str, terminal: bool = False, known: str = "/etc/known") -> tuple[str, ...]:
    return command(target, Path(known), argv, terminal=terminal)


def test_the_same_settings_as_the_library_has() -> None:
    argv = options(TARGET, "cat", "a b")
    assert argv[:3] == ("ssh", "-F", "none")
    assert argv[-3:] == ("--", "192.0.2.1", "cat 'a b'")
    joined = " ".join(argv)
    for words in (
        "-p 2222", "-l admin", "-o StrictHostKeyChecking=yes", "-o IdentitiesOnly=yes -i /root/key",
        '-o UserKnownHostsFile="/etc/known"', "-o GlobalKnownHostsFile=none",
    ):  # fmt: skip
        assert words in joined


def test_a_shell_needs_no_words_and_a_command_a_terminal_of_its_own() -> None:
    assert options(TARGET, terminal=True)[-2:] == ("--", "192.0.2.1")
    assert "-t" not in options(TARGET, terminal=True)
    assert "-t" in options(TARGET, "top", terminal=True)
    assert "-t" not in options(TARGET, "cat")


def test_an_agent_is_left_to_offer_what_it_has() -> None:
    argv = options(Target("192.0.2.1", b""))
    assert "-i" not in argv
    assert "IdentitiesOnly=yes" not in " ".join(argv)


def test_a_path_means_itself() -> None:
    assert 'UserKnownHostsFile="/a b/100%%"' in options(TARGET, known="/a b/100%")


def test_keys_that_are_no_file_become_one(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []

    class Client:
        def __init__(self, argv: tuple[str, ...]) -> None:
            option = next(word for word in argv if word.startswith("UserKnownHostsFile="))
            file = Path(option.partition("=")[2].strip('"'))
            seen.append((file, file.read_bytes(), file.stat().st_mode & 0o777))

        def __enter__(self) -> Client:
            return self

        def __exit__(self, *_: object) -> None:
            pass

        def wait(self) -> int:
            return 4

    monkeypatch.setattr(subprocess, "Popen", Client)
    assert sit("cp1", Target("192.0.2.1", b"192.0.2.1 ssh-ed25519 AAAA\n"), ("true",)) == 4
    ((file, content, mode),) = seen
    assert content == b"192.0.2.1 ssh-ed25519 AAAA\n"
    assert mode == 0o600
    assert not file.exists()


def test_no_client_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    def absent(*_: object) -> None:
        raise FileNotFoundError("ssh")

    monkeypatch.setattr(subprocess, "Popen", absent)
    with pytest.raises(TransportError) as caught:
        sit("cp1", TARGET, ())
    assert "openssh-client" in caught.value.hint
