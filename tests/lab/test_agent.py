"""The agent as it is sent, run by this computer's own Python, and the doors it comes through. No platform is needed:
what is written goes to memory that only the test sees."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import pytest

from groundplane.agent.runner import NOT_FOUND, TIMED_OUT, Ran, Spawner
from groundplane.errors import CommandFailed, CommandTimeout
from groundplane.rollout.agent import agent
from groundplane.state.change import AgentFailed, Change, Done, Ended
from groundplane.state.model import Directory, File, MachineState, Symlink
from groundplane.state.wire import Event, event_from_line, state_to_bytes
from groundplane.transport.nspawn import Leader, NspawnTransport

pytestmark = [pytest.mark.lab, pytest.mark.timeout(120)]

STATE = MachineState(
    "here",
    files=(File("/srv/etc/a", b"1\n"), File("/srv/etc/key", b"hunter2", mode=0o600, secret=True)),
    directories=(Directory("/srv/d", 0o700),),
    links=(Symlink("/srv/l", "etc/a"),),
)

_PRIVATE = 'for place in /run /srv /var/lib; do mount -t tmpfs tmpfs $place; done; exec python3 -I -S -c "$@"'

_SESSION = """
import subprocess, sys
install, digest, zipped, command, state, *modes = sys.argv[1:]
subprocess.run(["python3", "-I", "-S", "-c", install, digest], input=open(zipped, "rb").read(), check=True)
for mode in modes:
    subprocess.run([*command.split(), mode], input=open(state, "rb").read(), check=True)
"""


def session(tmp_path: Path, request: bytes, *modes: str) -> list[Event]:
    """What the agent says when it is unpacked and then run in ``modes``, one after the other."""
    (tmp_path / "agent.pyz").write_bytes(agent().data)
    (tmp_path / "state.json").write_bytes(request)
    words = [agent().install[4], agent().digest, str(tmp_path / "agent.pyz"), " ".join(agent().command("")).strip()]
    argv = ["unshare", "--mount", "--propagation", "private", "sh", "-c", _PRIVATE, "sh", _SESSION, *words]
    done = subprocess.run([*argv, str(tmp_path / "state.json"), *modes], capture_output=True, check=False)
    assert done.returncode == 0, done.stderr.decode()
    return [event_from_line(line) for line in done.stdout.splitlines()]


def test_it_brings_a_state_about_and_then_finds_nothing(tmp_path: Path) -> None:
    said = session(tmp_path, state_to_bytes(STATE), "observe", "apply", "observe")
    looked, rest = said[: len(STATE.files) + 2], said[len(STATE.files) + 2 :]
    assert [event.key for event in looked if isinstance(event, Change)] == [
        "/srv/l",
        "/srv/d",
        "/srv/etc/a",
        "/srv/etc/key",
    ]
    assert [event.problem for event in rest if isinstance(event, Done)] == [""] * 4
    assert said[-1] == Ended(0)
    assert "hunter2" not in repr(said)


def test_it_refuses_what_it_does_not_understand(tmp_path: Path) -> None:
    (event,) = session(tmp_path, b'{"version": 99, "state": {}}', "observe")
    assert isinstance(event, AgentFailed)
    assert "version 99" in event.problem


def test_programs_are_run_whatever_becomes_of_them() -> None:
    run = Spawner().run
    assert run(["sh", "-c", "echo out; echo err >&2; exit 3"]) == Ran(3, "out\n", "err\n")
    assert run(["no-such-program"]).status == NOT_FOUND
    assert run(["sh", "-c", "kill -9 $$"]).status == -signal.SIGKILL
    assert len(run([sys.executable, "-c", "print('x' * 1_000_000)"]).stdout) == 1_000_001
    late = run(["sh", "-c", "echo begun; sleep 60 & wait"], timeout=0.5)
    assert (late.status, late.stdout) == (TIMED_OUT, "begun\n")
    assert run(["cat"]).stdout == ""
    assert run(["sh", "-c", "echo $LC_ALL $MORE"], extra={"MORE": "more"}).stdout == "C.UTF-8 more\n"


def here() -> NspawnTransport:
    return NspawnTransport(lambda _: Leader(os.getpid(), 0))


async def listened(argv: Sequence[str], stdin: bytes = b"", timeout: float = 30) -> list[tuple[bytes, float]]:
    lines = here().stream("here", argv, stdin=stdin, timeout=timeout)
    return [(line, time.monotonic()) async for line in lines]


def test_lines_come_while_the_command_runs() -> None:
    (first, at), (second, later) = asyncio.run(listened(["sh", "-c", "echo a; sleep 0.5; printf b"]))
    assert (first, second) == (b"a", b"b")
    assert later - at > 0.3


def test_much_goes_in_and_long_lines_come_out() -> None:
    text = b"x" * 3_000_000
    ((line, _),) = asyncio.run(listened(["cat"], stdin=text))
    assert line == text


def test_a_stream_ends_as_a_run_would() -> None:
    with pytest.raises(CommandFailed, match="ended with status 7") as caught:
        asyncio.run(listened(["sh", "-c", "echo a; echo why >&2; exit 7"]))
    assert caught.value.detail == "why"
    with pytest.raises(CommandTimeout):
        asyncio.run(listened(["sleep", "60"], timeout=0.3))


def test_who_stops_listening_stops_the_command() -> None:
    async def once() -> int:
        lines = here().stream("here", ["sh", "-c", "echo $$; exec sleep 60"])
        pid = int(await anext(lines))
        await lines.aclose()
        return pid

    running = Path(f"/proc/{asyncio.run(once())}/cmdline")
    # Whoever inherits it may not have reaped it yet: it then has no command any more.
    assert not running.exists() or running.read_bytes() == b""
