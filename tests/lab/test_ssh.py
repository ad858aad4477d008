"""The SSH transport against OpenSSH's own server, on this computer's loopback. No platform is needed."""

from __future__ import annotations

import asyncio
import os
import subprocess
from collections.abc import AsyncIterable, Callable, Coroutine, Iterator
from contextlib import aclosing, contextmanager, suppress
from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import Path
from socket import AF_INET, SOCK_STREAM, socket
from typing import Any

import pytest

from groundplane.errors import ApplyError, CommandFailed, CommandTimeout, TransportError, Unreachable
from groundplane.rollout.link import AgentLink
from groundplane.state import MachineState
from groundplane.transport.base import Transport
from groundplane.transport.ssh import GRACE, SESSIONS, SshTransport
from groundplane.transport.target import Target
from groundplane.verify.condition import NotYet, wait_until

pytestmark = [pytest.mark.lab, pytest.mark.timeout(120)]

LOOPBACK = "127.0.0.1"
CONFIGURATION = """\
Port {port}
ListenAddress 127.0.0.1
HostKey {folder}/host_ed25519
HostKey {folder}/host_rsa
AuthorizedKeysFile {folder}/user_ed25519.pub
PidFile none
UsePAM no
PermitRootLogin prohibit-password
PasswordAuthentication no
KbdInteractiveAuthentication no
StrictModes no
"""


@dataclass(frozen=True, slots=True)
class Server:
    """A running sshd and the target by which it is reached."""

    process: subprocess.Popen[bytes]
    folder: Path
    target: Target

    def transport(self, **changes: Any) -> SshTransport:
        return SshTransport({"cp1": replace(self.target, **changes)}, patience=10)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with running(tmp_path_factory.mktemp("sshd")) as found:
        yield found


@contextmanager
def running(folder: Path, more: str = "") -> Iterator[Server]:
    """An sshd with keys of its own in ``folder``, and ``more`` lines in its configuration."""
    for name in ("host_ed25519", "host_rsa", "user_ed25519", "stranger_ed25519"):
        make_key(folder / name, kind=name.partition("_")[2])
    port = free_port()
    (folder / "sshd_config").write_text(CONFIGURATION.format(port=port, folder=folder) + more)
    Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)  # where sshd's unprivileged part lives; Debian's unit makes it
    public = (folder / "host_ed25519.pub").read_bytes()
    target = Target(LOOPBACK, b"[%s]:%d " % (LOOPBACK.encode(), port) + public, port, key=folder / "user_ed25519")
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            ["/usr/sbin/sshd", "-D", "-e", "-f", str(folder / "sshd_config")], stdin=subprocess.DEVNULL, stderr=log
        )
    try:
        asyncio.run(wait_until("sshd listens", lambda: answers(process, port), deadline=20, every=0.05))
        yield Server(process, folder, target)
    finally:
        process.terminate()
        process.wait(timeout=10)


def make_key(path: Path, *, kind: str) -> None:
    subprocess.run(["ssh-keygen", "-q", "-t", kind, "-N", "", "-f", str(path)], check=True)


def free_port() -> int:
    with socket(AF_INET, SOCK_STREAM) as door:
        door.bind((LOOPBACK, 0))
        port: int = door.getsockname()[1]
        return port


async def answers(process: subprocess.Popen[bytes], port: int) -> None:
    assert process.poll() is None, "sshd ended"
    try:
        _, writer = await asyncio.open_connection(LOOPBACK, port)
    except OSError as error:
        raise NotYet(str(error)) from error
    writer.close()


def within(transport: SshTransport, work: Callable[[SshTransport], Coroutine[Any, Any, Any]]) -> Any:
    """What ``work`` comes to; the transport is closed afterwards."""

    async def main() -> Any:
        async with transport:
            return await work(transport)

    return asyncio.run(main())


def refused(transport: SshTransport) -> TransportError:
    with pytest.raises(TransportError) as caught:
        within(transport, lambda ssh: ssh.run("cp1", ["true"]))
    assert caught.value.where == "cp1"
    return caught.value


def runs(marker: str) -> bool:
    """Whether a process of this computer has ``marker`` among its words."""
    for entry in Path("/proc").glob("[0-9]*/cmdline"):
        with suppress(FileNotFoundError, ProcessLookupError):
            if marker.encode() in entry.read_bytes().split(b"\0"):
                return True
    return False


async def gone(marker: str) -> None:
    """Wait until no process of this computer has ``marker`` among its words."""

    async def looked() -> None:
        if runs(marker):
            raise NotYet("it is still there")

    await wait_until(f"{marker} has ended", looked, deadline=2 * GRACE, every=0.05)


async def begun(marker: str) -> None:
    async def looked() -> None:
        if not runs(marker):
            raise NotYet("no such process")

    await wait_until(f"{marker} runs", looked, deadline=10, every=0.05)


async def heard(lines: AsyncIterable[bytes]) -> list[bytes]:
    return [line async for line in lines]


def test_words_input_and_status_arrive_as_they_are(server: Server) -> None:
    words = ["a b", "$HOME", "it's", '"', "*", "", "\\", "ü", "\n"]

    async def work(ssh: SshTransport) -> None:
        printed = await ssh.run("cp1", ["printf", "%s\\0", *words])
        assert printed.stdout.decode().split("\0")[:-1] == words
        content = os.urandom(5_000_000)
        assert (await ssh.run("cp1", ["cat"], stdin=content)).stdout == content
        assert (await ssh.run("cp1", ["cat"])).stdout == b""
        assert (await ssh.run("cp1", ["sh", "-c", "exit 7"], check=False)).status == 7
        assert (await ssh.run("cp1", ["sh", "-c", "kill -9 $$"], check=False)).status == -9
        with pytest.raises(CommandFailed) as caught:
            await ssh.run("cp1", ["sh", "-c", "echo why >&2; exit 3"])
        assert (caught.value.status, caught.value.detail, caught.value.where) == (3, "why", "cp1")
        with pytest.raises(CommandFailed) as caught:
            await ssh.run("cp1", ["groundplane-no-such-program"])
        assert caught.value.status == 127

    within(server.transport(), work)


def test_a_command_that_reads_nothing_is_no_problem(server: Server) -> None:
    assert within(server.transport(), lambda ssh: ssh.run("cp1", ["true"], stdin=b"x" * 5_000_000)).status == 0


def test_one_connection_serves_many_commands_at_once(server: Server) -> None:
    async def work(ssh: SshTransport) -> set[str]:
        runs = (ssh.run("cp1", ["sh", "-c", "echo $SSH_CONNECTION"]) for _ in range(3 * SESSIONS))
        return {done.text for done in await asyncio.gather(*runs)}

    assert len(within(server.transport(), work)) == 1


def test_lines_come_as_they_are_said(server: Server) -> None:
    async def in_step(ssh: SshTransport, gate: Path) -> list[bytes]:
        waiting = f'echo one; while [ ! -e {gate} ]; do sleep 0.02; done; printf "two\\n\\nfour"'
        async with aclosing(ssh.stream("cp1", ["sh", "-c", waiting], timeout=20)) as stream:
            first = await anext(stream)
            await asyncio.to_thread(gate.touch)  # before it, the command can't go on
            return [first, *await heard(stream)]

    gate = server.folder / "gate"
    assert within(server.transport(), lambda ssh: in_step(ssh, gate)) == [b"one", b"two", b"", b"four"]


def test_a_stream_of_long_lines_and_much_noise_ends_like_a_run(server: Server) -> None:
    script = "head -c 3000000 /dev/zero | tr '\\0' x; echo; head -c 9000000 /dev/zero >&2; echo last words >&2; exit 4"

    async def work(ssh: SshTransport) -> None:
        assert len(await anext(ssh.stream("cp1", ["sh", "-c", script]))) == 3_000_000
        with pytest.raises(CommandFailed) as caught:
            await heard(ssh.stream("cp1", ["sh", "-c", script]))
        assert caught.value.status == 4
        assert caught.value.detail.endswith("last words")

    within(server.transport(), work)


def test_what_takes_too_long_is_stopped_at_the_far_end(server: Server) -> None:
    async def work(ssh: SshTransport) -> None:
        with pytest.raises(CommandTimeout, match=r"within 0\.5 s"):
            await ssh.run("cp1", ["sleep", "98761"], timeout=0.5)
        await gone("98761")
        stubborn = "trap '' TERM; echo ready; while :; do sleep 0.1; done; : 98762"
        with pytest.raises(CommandTimeout):
            await heard(ssh.stream("cp1", ["sh", "-c", stubborn, "98762"], timeout=0.5))
        await gone("98762")
        assert (await ssh.run("cp1", ["echo", "well"])).text == "well"

    within(server.transport(), work)


def test_who_stops_listening_or_is_cancelled_stops_the_command(server: Server) -> None:
    async def work(ssh: SshTransport) -> None:
        async with aclosing(ssh.stream("cp1", ["sh", "-c", "yes; : 98763", "98763"])) as stream:
            async for _ in stream:
                break
        await gone("98763")
        running = asyncio.create_task(ssh.run("cp1", ["sleep", "98764"]))
        await begun("98764")
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running
        await gone("98764")

    within(server.transport(), work)


def test_another_key_than_the_known_one_is_refused(server: Server) -> None:
    other = (server.folder / "stranger_ed25519.pub").read_bytes()
    known = b"[%s]:%d " % (LOOPBACK.encode(), server.target.port) + other
    error = refused(server.transport(host_keys=known))
    assert "not the one that is known" in error.what
    for name in ("host_ed25519", "stranger_ed25519"):
        assert fingerprint(server.folder / name) in error.detail
    assert "ssh-keyscan" in error.hint


def test_an_unknown_machine_is_refused(server: Server, tmp_path: Path) -> None:
    empty = tmp_path / "known_hosts"
    empty.touch()
    error = refused(server.transport(host_keys=empty))
    assert "isn't known" in error.what
    assert str(empty) in error.detail
    assert str(empty) in error.hint


def test_the_second_kind_of_host_key_serves_as_well(server: Server) -> None:
    known = b"[%s]:%d " % (LOOPBACK.encode(), server.target.port) + (server.folder / "host_rsa.pub").read_bytes()
    assert within(server.transport(host_keys=known), lambda ssh: ssh.run("cp1", ["true"])).status == 0


def fingerprint(key: Path) -> str:
    return subprocess.run(["ssh-keygen", "-lf", str(key)], capture_output=True, text=True, check=True).stdout.split()[1]


def test_a_stranger_is_not_let_in(server: Server) -> None:
    error = refused(server.transport(key=server.folder / "stranger_ed25519"))
    assert "doesn't let us in" in error.what
    assert "authorized_keys" in error.hint


def test_an_unusable_key_is_told(server: Server, tmp_path: Path) -> None:
    assert "can't be used" in refused(server.transport(key=tmp_path / "absent")).what


def test_no_server_is_told_with_a_remedy(server: Server) -> None:
    error = refused(server.transport(port=free_port()))
    assert isinstance(error, Unreachable)
    assert "openssh-server" in error.hint


def test_a_name_nobody_knows(server: Server) -> None:
    error = refused(server.transport(host="no-such-machine.invalid"))
    assert isinstance(error, Unreachable)
    assert "no-such-machine.invalid" in error.what


def test_a_lost_connection_is_told_and_the_next_command_connects_anew(server: Server) -> None:
    async def work(ssh: SshTransport) -> None:
        with pytest.raises(Unreachable, match="connection"):
            await ssh.run("cp1", ["sh", "-c", "kill -9 $PPID; exec sleep 20"])
        assert (await ssh.run("cp1", ["echo", "back"])).text == "back"

    within(server.transport(), work)


def test_a_machine_without_python_is_told_by_the_link(tmp_path: Path) -> None:
    programs = tmp_path / "bin"
    programs.mkdir()
    for name in ("env", "sh"):
        (programs / name).symlink_to(f"/usr/bin/{name}")
    with running(tmp_path, f"SetEnv PATH={programs}\n") as bare, pytest.raises(ApplyError) as caught:
        within(bare.transport(), lambda ssh: AgentLink(ssh).observe(MachineState("cp1")))
    assert "no Python" in caught.value.what
    assert "python3" in caught.value.hint
    assert caught.value.where == "cp1"


def test_files_go_and_come_whole_or_not_at_all(server: Server, tmp_path: Path) -> None:
    """Over a connection that is lost meanwhile as well: the old file stays, and no part of the new one."""
    content = os.urandom(5_000_000)  # more than a connection holds on its way
    source, place, back = tmp_path / "source", tmp_path / "there" / "it's *", tmp_path / "back"
    source.write_bytes(content)
    digest = f"sha256:{sha256(content).hexdigest()}"

    sshd = list[int]()  # the one of this connection

    def lose(_: int) -> None:
        if sshd:
            os.kill(sshd.pop(), 9)

    async def work(ssh: SshTransport) -> None:
        await ssh.put("cp1", str(place), source, digest=digest, mode=0o755)
        assert (place.read_bytes(), place.stat().st_mode & 0o777) == (content, 0o755)
        assert await ssh.get("cp1", str(place), back) == digest
        assert back.read_bytes() == content
        sshd.append(int((await ssh.run("cp1", ["sh", "-c", "echo $PPID"])).text))
        place.write_bytes(b"old")
        with pytest.raises(TransportError, match="is not what should go to"):
            await ssh.put("cp1", str(place), source, digest=f"sha256:{'0' * 64}")
        with pytest.raises(Unreachable):
            await ssh.put("cp1", str(place), source, digest=digest, told=lose)
        await gone("groundplane-put")
        assert [path.name for path in place.parent.iterdir()] == [place.name]
        assert place.read_bytes() == b"old"

    within(server.transport(), work)


def test_sitting_at_a_machine_is_left_to_openssh(server: Server, capfd: pytest.CaptureFixture[str]) -> None:
    assert server.transport().interactive("cp1", ["sh", "-c", "echo sat; exit 5"]) == 5
    assert capfd.readouterr().out == "sat\n"


def test_it_is_a_transport(server: Server) -> None:
    transport: Transport = server.transport()
    assert transport is not None
