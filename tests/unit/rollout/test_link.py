"""The operator's end: what the agent's words, and its failing to say them, come to."""

from __future__ import annotations

import ast
import asyncio
import hashlib
import io
import sys
import zipfile
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any, TypeVar

import pytest

from groundplane.errors import ApplyError, CommandFailed, GroundplaneError, Unreachable
from groundplane.rollout.agent import INSTALL, OLDEST_PYTHON, TOO_OLD, agent
from groundplane.rollout.link import AgentLink
from groundplane.rollout.plan import MachinePlan, Plan
from groundplane.state.change import Action, AgentFailed, Change, Done, Ended, Findings, Kind, Refused, Wanted
from groundplane.state.model import File, MachineState
from groundplane.state.step import Completed
from groundplane.state.wire import Event, event_to_line, state_from_bytes
from groundplane.transport.fake import FakeTransport

STATE = MachineState("cp1", files=(File("/etc/key", b"hunter2", secret=True),))
CHANGE = Change(Kind.FILE, "/etc/key", Action.UPDATE, "content differs")
OTHER = Change(Kind.UNIT, "x.service", Action.RESTART, "reads /etc/key")
MISSING = Completed(2, b"", b"python3: can't open file '/var/lib/groundplane/agent/x': [Errno 2] No such file\n")

T = TypeVar("T")


def said(*events: Event, status: int = 0, stderr: bytes = b"") -> Completed:
    return Completed(status, b"".join(event_to_line(event) + b"\n" for event in events), stderr)


def run(coroutine: Coroutine[Any, Any, T]) -> T:
    return asyncio.run(coroutine)


def answering(*answers: Completed | Exception, mode: str = "observe") -> FakeTransport:
    fake = FakeTransport()
    fake.in_turn("cp1", *agent().command(mode), answers=answers)
    fake.on("cp1", *agent().install)
    return fake


def test_one_round_trip_where_nothing_differs() -> None:
    fake = answering(said(Ended(0)))
    assert run(AgentLink(fake).observe(STATE)) == Findings()
    (call,) = fake.calls
    assert state_from_bytes(call.stdin) == STATE
    assert "hunter2" not in " ".join(call.argv)


def test_findings_are_what_differs_and_what_is_refused() -> None:
    refused = Refused(CHANGE, "checker does not accept it")
    found = run(AgentLink(answering(said(CHANGE, OTHER, refused, Ended(2)))).observe(STATE))
    assert found == Findings((CHANGE, OTHER), (refused,))


def test_the_agent_is_sent_when_the_first_try_shows_that_it_is_missing() -> None:
    fake = answering(MISSING, said(Ended(0)))
    assert run(AgentLink(fake).observe(STATE)) == Findings()
    assert [call.argv[:4] for call in fake.calls][1] == ("python3", "-I", "-S", "-c")
    assert hashlib.sha256(fake.calls[1].stdin).hexdigest() == agent().digest == fake.calls[1].argv[-1]


def test_an_agent_that_vanishes_again_is_no_endless_loop() -> None:
    fake = answering(MISSING)
    with pytest.raises(ApplyError, match="cp1: the agent was sent, and is gone again"):
        run(AgentLink(fake).observe(STATE))
    assert len(fake.calls) == 3


def test_what_was_done_is_told_at_once_and_given_back() -> None:
    done = (Done(CHANGE, 0.1), Done(OTHER, 2.0))
    told: list[Done] = []
    fake = answering(said(CHANGE, OTHER, *done, Ended(2)), mode="apply")
    assert run(AgentLink(fake).bring(STATE, told.append)) == done
    assert tuple(told) == done


def test_a_change_that_failed_is_an_error_with_the_way_out() -> None:
    failed = Done(OTHER, 1.0, "x.service did not restart", "it runs again as before", "bad line 3")
    fake = answering(said(CHANGE, OTHER, failed, Done(CHANGE, 0.1, "put back"), Ended(2)), mode="apply")
    with pytest.raises(ApplyError) as caught:
        run(AgentLink(fake).bring(STATE))
    error = caught.value
    assert (error.where, error.what, error.hint) == (
        "cp1",
        "x.service did not restart, and 1 more",
        "it runs again as before",
    )
    assert "bad line 3" in error.detail
    assert "/etc/key: put back" in error.detail


def test_changes_that_failed_as_one_are_one_problem() -> None:
    same = [Done(Change(Kind.PACKAGE, name, Action.CREATE, ""), 0.0, "no", "", "why") for name in ("a", "b")]
    with pytest.raises(ApplyError) as caught:
        run(AgentLink(answering(said(*same, Ended(2)), mode="apply")).bring(STATE))
    assert (caught.value.what, caught.value.detail) == ("no", "why")


def test_a_refusal_is_an_error_when_bringing() -> None:
    fake = answering(said(CHANGE, Refused(CHANGE, "not accepted", "correct it"), Ended(1)), mode="apply")
    with pytest.raises(ApplyError, match="not accepted"):
        run(AgentLink(fake).bring(STATE))


@pytest.mark.parametrize(
    ("answer", "words", "hint"),
    [
        (said(CHANGE), "cut off before it came to its end", "again"),
        (said(CHANGE, status=-9), "ended with status -9", "again"),
        (said(AgentFailed("a lock is held", "wait")), "a lock is held", "wait"),
        (Completed(0, b"Traceback\n", b""), "can't be understood", ""),
        (Completed(127, b"", b"python3: not found"), "there is no Python on the machine", "3.10 or newer"),
    ],
)
def test_an_agent_that_does_not_come_to_its_end(answer: Completed, words: str, hint: str) -> None:
    with pytest.raises(ApplyError, match=words) as caught:
        run(AgentLink(answering(answer)).observe(STATE))
    assert caught.value.where == "cp1"
    assert hint in caught.value.hint


def test_a_python_too_old_is_named() -> None:
    fake = answering(MISSING)
    fake.on("cp1", *agent().install, status=TOO_OLD, stderr="Python 3.9.2")
    with pytest.raises(ApplyError, match=r"too old: Python 3\.9\.2") as caught:
        run(AgentLink(fake).observe(STATE))
    assert "3.10" in caught.value.hint


def test_a_disk_too_full_for_the_agent_is_an_error() -> None:
    fake = answering(MISSING)
    fake.on("cp1", *agent().install, status=1, stderr="the agent can't be laid: No space left on device")
    with pytest.raises(ApplyError) as caught:
        run(AgentLink(fake).observe(STATE))
    assert "No space left" in caught.value.detail


def test_a_machine_out_of_reach_is_the_transports_error() -> None:
    with pytest.raises(Unreachable):
        run(AgentLink(answering(Unreachable("off", where="cp1"))).observe(STATE))


def test_the_agent_is_whole_and_the_same_every_time() -> None:
    first = agent()
    agent.cache_clear()
    assert first == agent()
    names = zipfile.ZipFile(io.BytesIO(first.data)).namelist()
    assert names == sorted(names)
    assert {"__main__.py", "groundplane/agent/main.py", "groundplane/state/model.py"} <= set(names)
    assert not [name for name in names if "compose" in name or "errors" in name]


def test_the_agent_is_python_3_10_and_the_standard_library() -> None:
    archive = zipfile.ZipFile(io.BytesIO(agent().data))
    names = archive.namelist()
    for name in names:
        tree = ast.parse(archive.read(name), name, feature_version=OLDEST_PYTHON)
        for module in {each for node in ast.walk(tree) for each in _imported(node)}:
            inside = any(f"{module.replace('.', '/')}{end}" in names for end in (".py", "/__init__.py"))
            assert inside or module.partition(".")[0] in {*sys.stdlib_module_names, "_typeshed"}, f"{name}: {module}"
    ast.parse(INSTALL, feature_version=(3, 4))


def _imported(node: ast.AST) -> list[str]:
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    return [node.module or ""] if isinstance(node, ast.ImportFrom) else []


def test_streaming_fails_as_running_does_but_after_its_lines() -> None:
    fake = FakeTransport()
    fake.on("cp1", "tail", answers="a\nb\n", status=3, stderr="no more")
    lines: list[bytes] = []

    async def listen() -> None:
        async for line in fake.stream("cp1", ["tail"]):
            lines.append(line)

    with pytest.raises(CommandFailed, match="tail ended with status 3"):
        run(listen())
    assert lines == [b"a", b"b"]


PROGRAM = b"a program"
WANTED = Wanted("/usr/local/bin/tool", f"sha256:{hashlib.sha256(PROGRAM).hexdigest()}", len(PROGRAM), "/incoming/x")


def bundled(folder: Path, content: bytes = PROGRAM) -> Path:
    """A software tree with that program in it."""
    (folder / "usr/local/bin").mkdir(parents=True)
    (folder / "usr/local/bin/tool").write_bytes(content)
    return folder


def test_a_program_the_agent_wants_is_delivered_and_it_is_asked_again(tmp_path: Path) -> None:
    done = Done(CHANGE, 0.1)
    fake = answering(said(CHANGE, WANTED, Ended(1)), said(CHANGE, done, Ended(1)), mode="apply")
    assert run(AgentLink(fake, bundled(tmp_path)).bring(STATE)) == (done,)
    assert fake.files == {("cp1", WANTED.place): PROGRAM}
    assert [call.argv[0] for call in fake.calls] == ["python3", "put", "python3"]


@pytest.mark.parametrize(
    ("tree", "words"),
    [
        (lambda _: None, "must be brought from the software bundle, which is not at hand"),
        (lambda folder: folder, "must be brought from the software bundle, which is not at hand"),
        (lambda folder: bundled(folder, b"of another build"), "is not what should go to"),
    ],
)
def test_a_program_that_is_not_at_hand_is_told(tmp_path: Path, tree: Callable[[Path], Path | None], words: str) -> None:
    fake = answering(said(CHANGE, WANTED, Ended(1)), mode="apply")
    with pytest.raises(GroundplaneError, match=words):
        run(AgentLink(fake, tree(tmp_path)).bring(STATE))
    assert not fake.files


def test_what_is_wanted_again_after_it_was_delivered_is_no_endless_loop(tmp_path: Path) -> None:
    fake = answering(said(CHANGE, WANTED, Ended(1)), mode="apply")
    with pytest.raises(ApplyError, match="gone again"):
        run(AgentLink(fake, bundled(tmp_path)).bring(STATE))
    assert len(fake.calls) == 3


@pytest.mark.parametrize(
    ("machine", "needed"),
    [
        (MachinePlan("cp1", (CHANGE,)), False),
        (MachinePlan("cp1", (Change(Kind.ARTIFACT, "/a", Action.UPDATE, "mode 0644: not executable"),)), False),
        (
            MachinePlan("cp1", (Change(Kind.ARTIFACT, "/a", Action.UPDATE, "content differs", content="sha256:0"),)),
            True,
        ),
        (MachinePlan("cp1", off=True), True),
    ],
)
def test_a_plan_says_whether_it_needs_the_bundle(machine: MachinePlan, needed: bool) -> None:
    assert Plan(batches=((machine,),)).needs_material is needed
