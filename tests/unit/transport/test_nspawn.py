from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path

import pytest

from groundplane.errors import CommandFailed, Unreachable
from groundplane.state.step import Completed
from groundplane.transport import nspawn
from groundplane.transport.nspawn import Leader, NspawnTransport, descendants, enter
from groundplane.transport.words import TAIL

LEADER = Leader(42, 7, (Path("/cg/memory/m/cgroup.procs"), Path("/cg/cpu/m/cgroup.procs")))


class Scripted(NspawnTransport):
    """Its attempts are scripted; everything around them is the real thing."""

    def __init__(self, leaders: Sequence[Leader | None], outcomes: Sequence[Completed]) -> None:
        self.leaders = list(leaders)
        self.outcomes = list(outcomes)
        self.attempts = 0
        super().__init__(lambda _: self.leaders.pop(0) if len(self.leaders) > 1 else self.leaders[0])

    async def _attempt(
        self, machine: str, leader: Leader, argv: Sequence[str], stdin: bytes, timeout: float
    ) -> Completed:
        self.attempts += 1
        return self.outcomes.pop(0)


def run(transport: NspawnTransport, *argv: str, check: bool = True) -> Completed:
    return asyncio.run(transport.run("cp1", argv, check=check))


def test_groups_are_joined_before_the_namespaces_are_entered() -> None:
    argv = enter(LEADER, ("kubectl", "get", "nodes"))
    assert argv[4:7] == ("2", "/cg/memory/m/cgroup.procs", "/cg/cpu/m/cgroup.procs")
    assert argv[7:10] == ("nsenter", "--target", "42")
    assert argv[-4:] == ("--", "kubectl", "get", "nodes")


def test_a_machine_that_is_off_is_unreachable() -> None:
    with pytest.raises(Unreachable) as caught:
        run(Scripted([None], []), "true")
    assert caught.value.where == "cp1"


def test_a_failed_command_shows_its_last_words() -> None:
    words = b"\n".join(b"line %d" % number for number in range(100))
    with pytest.raises(CommandFailed) as caught:
        run(Scripted([LEADER], [Completed(3, b"", words)]), "kubeadm", "init")
    assert caught.value.status == 3
    assert "kubeadm init" in caught.value.what
    assert caught.value.detail.splitlines()[-1] == "line 99"
    assert len(caught.value.detail.splitlines()) == TAIL


def test_a_failure_that_may_be_one_is_given_back() -> None:
    assert run(Scripted([LEADER], [Completed(1, b"", b"no")]), "false", check=False).status == 1


def test_groups_that_moved_meanwhile_are_tried_again() -> None:
    lost = Completed(125, b"", b"groundplane: cannot join /cg/x\n")
    transport = Scripted([LEADER], [lost, lost, Completed(0, b"ok", b"")])
    assert run(transport, "true").text == "ok"
    assert transport.attempts == 3


def test_a_command_of_its_own_may_end_with_125() -> None:
    transport = Scripted([LEADER], [Completed(125, b"", b"podman: cannot")])
    assert run(transport, "podman", check=False).status == 125
    assert transport.attempts == 1


def test_a_machine_that_rebooted_meanwhile_is_entered_anew() -> None:
    gone = Completed(1, b"", b"nsenter: cannot open /proc/42/ns/ipc: No such file or directory\n")
    other = Leader(99, 8)
    transport = Scripted([LEADER, other, other, other], [gone, Completed(0, b"new", b"")])
    assert run(transport, "true").text == "new"


def test_a_machine_that_went_away_meanwhile_is_unreachable() -> None:
    gone = Completed(1, b"", b"nsenter: cannot open /proc/42/ns/ipc: No such file or directory\n")
    with pytest.raises(Unreachable):
        run(Scripted([LEADER, None, None], [gone]), "true")


def test_a_command_that_was_not_found_is_the_commands_failure() -> None:
    transport = Scripted([LEADER], [Completed(127, b"", b"nsenter: failed to execute nope: No such file\n")])
    with pytest.raises(CommandFailed):
        run(transport, "nope")


def test_long_command_lines_are_cut_in_messages() -> None:
    with pytest.raises(CommandFailed) as caught:
        run(Scripted([LEADER], [Completed(1, b"", b"")]), "echo", "x" * 1000)
    assert len(caught.value.what) < 200


def test_the_environment_is_clean() -> None:
    assert set(nspawn.ENVIRONMENT) == {"HOME", "LANG", "PATH", "SHELL", "USER"}


def test_descendants_are_found_to_any_depth(tmp_path: Path) -> None:
    for pid, below in ((1, "2 3"), (2, "4"), (3, ""), (4, "5"), (5, "")):
        folder = tmp_path / str(pid) / "task" / str(pid)
        folder.mkdir(parents=True)
        (folder / "children").write_text(below)
    assert sorted(descendants(1, proc=tmp_path)) == [2, 3, 4, 5]
    assert descendants(77, proc=tmp_path) == ()
