from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Coroutine
from contextlib import aclosing
from pathlib import Path
from typing import Any

import asyncssh
import pytest
from tests.unit.transport.far_end import Command, FarConnection, FarEnd

from groundplane.errors import CommandFailed, CommandTimeout, TransportError, Unreachable
from groundplane.transport.base import Transport
from groundplane.transport.ssh import SESSIONS, SshTransport
from groundplane.transport.ssh_library import Gone, RemoteProcess
from groundplane.transport.target import Target

MACHINES = ("cp1", "cp2", "cp3")
TARGETS = {name: Target(f"{name}.example", Path("known_hosts"), key=Path("key")) for name in MACHINES}


def echo(command: Command) -> None:
    command.says(b" ".join(word.encode() for word in command.argv) + b"\n")
    command.ends()


def never(command: Command) -> None:
    """It runs until somebody stops it."""


def fails(command: Command) -> None:
    command.says(b"out", b"first\nlast\n")
    command.ends(3)


async def cat(command: Command) -> None:
    await command.whole.wait()
    command.says(command.given)
    command.ends()


def driven(end: FarEnd, work: Callable[[SshTransport], Coroutine[Any, Any, Any]], **options: Any) -> Any:
    async def main() -> Any:
        async with SshTransport(TARGETS, open=end.open, **options) as transport:
            found = await work(transport)
            assert end.running == 0, "a command was left behind"
        assert all(connection.closed for connection in end.connections)
        return found

    return main()


def run(end: FarEnd, work: Callable[[SshTransport], Coroutine[Any, Any, Any]], **options: Any) -> Any:
    return asyncio.run(driven(end, work, **options))


def raised(end: FarEnd, **options: Any) -> TransportError:
    """What becomes of a command on cp1."""
    with pytest.raises(TransportError) as caught:
        run(end, lambda ssh: ssh.run("cp1", ["true"]), **options)
    assert caught.value.where == "cp1"
    return caught.value


async def heard(lines: AsyncGenerator[bytes, None]) -> list[bytes]:
    return [line async for line in lines]


def test_it_is_a_transport() -> None:
    transport: Transport = SshTransport(TARGETS, open=FarEnd(echo).open)
    assert transport is not None


def test_words_arrive_quoted_and_input_whole() -> None:
    words = ["a b", "$(rm -rf /)", "it's", "", "A=B"]
    assert run(FarEnd(echo), lambda ssh: ssh.run("cp1", words)).stdout == " ".join(words).encode() + b"\n"
    assert run(FarEnd(cat), lambda ssh: ssh.run("cp1", ["cat"], stdin=b"hunter2")).stdout == b"hunter2"


def test_input_is_in_no_command_line() -> None:
    end = FarEnd(cat)
    run(end, lambda ssh: ssh.run("cp1", ["cat"], stdin=b"hunter2"))
    assert "hunter2" not in repr(end.begun[0].argv)


def test_a_command_may_end_before_its_input_comes() -> None:
    class Hasty(FarEnd):
        async def open(self, target: Target) -> FarConnection:
            return HastyConnection(self)

    class HastyConnection(FarConnection):
        async def start(self, command: str) -> RemoteProcess:
            begun = await super().start(command)
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            return begun

    end = Hasty(echo)
    assert run(end, lambda ssh: ssh.run("cp1", ["true"], stdin=b"much")).status == 0
    assert end.begun[0].given == b""


def test_a_failure_has_its_status_and_last_words() -> None:
    error = raised(FarEnd(fails))
    assert isinstance(error, CommandFailed)
    assert (error.status, error.detail) == (3, "first\nlast")
    assert run(FarEnd(fails), lambda ssh: ssh.run("cp1", ["x"], check=False)).status == 3


def test_one_connection_for_all_commands_of_a_machine() -> None:
    end = FarEnd(echo)

    async def work(ssh: SshTransport) -> None:
        await asyncio.gather(*(ssh.run(machine, ["true"]) for machine in MACHINES for _ in range(20)))

    run(end, work)
    assert sorted(target.host for target in end.opened) == ["cp1.example", "cp2.example", "cp3.example"]


def test_no_more_sessions_than_the_server_allows() -> None:
    most = 0

    async def counted(command: Command) -> None:
        nonlocal most
        most = max(most, end.running)
        await asyncio.sleep(0)
        command.ends()

    end = FarEnd(counted)

    async def work(ssh: SshTransport) -> None:
        await asyncio.gather(*(ssh.run("cp1", ["true"]) for _ in range(5 * SESSIONS)))

    run(end, work)
    assert most == SESSIONS


def test_no_more_connections_opened_at_once_than_asked_for() -> None:
    async def main() -> None:
        end = FarEnd(echo, gate=asyncio.Event())
        assert end.gate is not None

        async def work(ssh: SshTransport) -> None:
            assert end.gate is not None
            runs = [asyncio.create_task(ssh.run(machine, ["true"])) for machine in MACHINES]
            for _ in range(20):
                await asyncio.sleep(0)
            assert len(end.opened) == 2
            end.gate.set()
            await asyncio.gather(*runs)

        await driven(end, work, at_once=2)

    asyncio.run(main())


def test_a_failed_attempt_is_shared_and_the_next_one_is_new() -> None:
    end = FarEnd(echo, opens=[ConnectionRefusedError(), None])

    async def work(ssh: SshTransport) -> None:
        first = await asyncio.gather(*(ssh.run("cp1", ["true"]) for _ in range(3)), return_exceptions=True)
        assert [type(outcome) for outcome in first] == [Unreachable] * 3
        assert (await ssh.run("cp1", ["true"])).status == 0

    run(end, work)
    assert len(end.opened) == 2


def test_a_connection_that_ended_meanwhile_is_opened_anew_once() -> None:
    end = FarEnd(echo, starts=[None, Gone("closed"), None])

    async def work(ssh: SshTransport) -> None:
        await ssh.run("cp1", ["true"])
        await ssh.run("cp1", ["true"])

    run(end, work)
    assert len(end.opened) == 2
    error = raised(FarEnd(echo, starts=[Gone("closed"), Gone("closed")]))
    assert isinstance(error, Unreachable)


def test_a_machine_that_does_not_answer(virtual_time: Callable[[Coroutine[Any, Any, Any]], Any]) -> None:
    async def main() -> None:
        end = FarEnd(echo, gate=asyncio.Event())
        with pytest.raises(Unreachable, match="does not answer within 15 s") as caught:
            await driven(end, lambda ssh: ssh.run("cp1", ["true"]))
        assert caught.value.hint

    virtual_time(main())


def test_a_lost_connection_in_the_middle() -> None:
    def breaks(command: Command) -> None:
        command.breaks(asyncssh.ConnectionLost("Connection lost"))

    def fades(command: Command) -> None:
        command.ends(None)

    for script in (breaks, fades):
        error = raised(FarEnd(script))
        assert isinstance(error, Unreachable)
        assert "lost" in error.what
        assert "again" in error.hint


def test_too_late_is_stopped_there(virtual_time: Callable[[Coroutine[Any, Any, Any]], Any]) -> None:
    async def work(ssh: SshTransport) -> None:
        with pytest.raises(CommandTimeout, match="within 5 s") as caught:
            await ssh.run("cp1", ["sleep", "9"], timeout=5)
        assert caught.value.hint == "it was stopped"
        with pytest.raises(CommandTimeout):
            await heard(ssh.stream("cp1", ["sleep", "9"], timeout=5))

    end = FarEnd(never)
    virtual_time(driven(end, work))
    assert end.stopped == [command.mark for command in end.begun]
    assert len(set(end.stopped)) == 2


def test_waiting_for_a_connection_takes_nothing_from_a_commands_time(
    virtual_time: Callable[[Coroutine[Any, Any, Any]], Any],
) -> None:
    class Slow(FarEnd):
        async def open(self, target: Target) -> FarConnection:
            await asyncio.sleep(10)
            return await super().open(target)

    assert virtual_time(driven(Slow(echo), lambda ssh: ssh.run("cp1", ["true"], timeout=5))).status == 0


def test_what_can_not_be_stopped_is_told(virtual_time: Callable[[Coroutine[Any, Any, Any]], Any]) -> None:
    end = FarEnd(never, unstoppable=True)

    async def work(ssh: SshTransport) -> None:
        with pytest.raises(CommandTimeout) as caught:
            await ssh.run("cp1", ["sleep", "9"], timeout=5)
        assert "may still run" in caught.value.hint

    virtual_time(driven(end, work))


def test_a_cancelled_command_is_stopped_there() -> None:
    begun = asyncio.Event()
    end = FarEnd(lambda _: begun.set())

    async def work(ssh: SshTransport) -> None:
        running = asyncio.create_task(ssh.run("cp1", ["sleep"]))
        await begun.wait()
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running

    run(end, work)
    assert len(end.stopped) == 1


def test_lines_come_as_they_are_said_however_they_are_cut() -> None:
    async def pieces(command: Command) -> None:
        for piece in (b"on", b"e\ntwo\n", b"\nfo", b"ur"):
            command.says(piece)
            await asyncio.sleep(0)
        command.ends()

    assert run(FarEnd(pieces), lambda ssh: heard(ssh.stream("cp1", ["x"]))) == [b"one", b"two", b"", b"four"]


def test_a_line_is_heard_before_the_command_ends() -> None:
    async def main() -> None:
        go = asyncio.Event()

        async def waits(command: Command) -> None:
            command.says(b"one\n")
            await go.wait()
            command.says(b"two\n")
            command.ends()

        async def work(ssh: SshTransport) -> None:
            async with aclosing(ssh.stream("cp1", ["x"])) as lines:
                assert await anext(lines) == b"one"
                go.set()
                assert await heard(lines) == [b"two"]

        await driven(FarEnd(waits), work)

    asyncio.run(main())


def test_a_stream_ends_like_a_run() -> None:
    async def work(ssh: SshTransport) -> None:
        with pytest.raises(CommandFailed) as caught:
            await heard(ssh.stream("cp1", ["x"]))
        assert (caught.value.status, caught.value.detail, caught.value.where) == (3, "first\nlast", "cp1")

    run(FarEnd(fails), work)


def test_who_stops_listening_stops_the_command() -> None:
    end = FarEnd(lambda command: command.says(b"one\n"))

    async def work(ssh: SshTransport) -> None:
        async with aclosing(ssh.stream("cp1", ["x"])) as lines:
            assert await anext(lines) == b"one"

    run(end, work)
    assert len(end.stopped) == 1


def test_a_machine_nobody_told_of() -> None:
    with pytest.raises(TransportError, match="nobody said"):
        run(FarEnd(echo), lambda ssh: ssh.run("cp9", ["true"]))
