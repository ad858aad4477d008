"""Files to and from machines: what is checked at this end, over a scripted far end."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from tests.unit.transport.far_end import Command, FarEnd

from groundplane.errors import CommandFailed, CommandTimeout, TransportError
from groundplane.transport.fake import FakeTransport
from groundplane.transport.ssh import SshTransport
from groundplane.transport.target import Target

CONTENT = bytes(range(256)) * 20_000  # more than is on its way at a time
PATH = "/usr/local/bin/tool"


def digest_of(content: bytes) -> str:
    return f"sha256:{sha256(content).hexdigest()}"


def over_ssh(end: FarEnd, work: Callable[[SshTransport], Coroutine[Any, Any, Any]]) -> Any:
    async def main() -> Any:
        async with SshTransport({"cp1": Target("cp1.example", b"", key=Path("key"))}, open=end.open) as ssh:
            found = await work(ssh)
            assert end.running == 0, "a command was left behind"
            return found

    return asyncio.run(main())


def taking(status: int) -> Callable[[Command], Coroutine[Any, Any, None]]:
    async def script(command: Command) -> None:
        await command.whole.wait()
        command.says(stderr=b"why\n")
        command.ends(status)

    return script


def saying(content: bytes, *, announced: bytes = CONTENT, status: int = 0) -> Callable[[Command], None]:
    def script(command: Command) -> None:
        command.says(sha256(announced).hexdigest().encode() + b"\n" + content)
        command.ends(status)

    return script


def saying_in_pieces(*pieces: bytes) -> Callable[[Command], Coroutine[Any, Any, None]]:
    """Each piece is read before the next is said."""

    async def script(command: Command) -> None:
        for piece in pieces:
            command.says(piece)
            for _ in range(10):  # turns of the loop: whoever reads has all of it by then
                await asyncio.sleep(0)
        command.ends(0)

    return script


@pytest.fixture
def source(tmp_path: Path) -> Path:
    (tmp_path / "source").write_bytes(CONTENT)
    return tmp_path / "source"


def test_what_is_put_arrives_whole_with_what_it_is_checked_by(source: Path) -> None:
    end, told = FarEnd(taking(0)), list[int]()
    over_ssh(end, lambda ssh: ssh.put("cp1", PATH, source, digest=digest_of(CONTENT), mode=0o755, told=told.append))
    command = end.begun[0]
    path, partial, digest, mode = command.argv[-4:]
    assert command.given == CONTENT
    assert (path, digest, mode) == (PATH, sha256(CONTENT).hexdigest(), "0755")
    assert Path(partial).parent == Path(PATH).parent, "a rename must do"
    assert told == sorted(told)
    assert told[-1] == len(CONTENT)


@pytest.mark.parametrize(
    ("status", "digest", "words"),
    [
        (65, digest_of(b"another"), "is not what should go to"),
        (65, digest_of(CONTENT), "did not arrive as it was sent"),
        (1, digest_of(CONTENT), "ended with status 1"),
    ],
)
def test_what_went_wrong_with_a_put_is_told(source: Path, status: int, digest: str, words: str) -> None:
    with pytest.raises(TransportError, match=words) as caught:
        over_ssh(FarEnd(taking(status)), lambda ssh: ssh.put("cp1", PATH, source, digest=digest))
    assert caught.value.where == "cp1"


def test_a_source_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(TransportError, match="can't be read") as caught:
        over_ssh(FarEnd(taking(0)), lambda ssh: ssh.put("cp1", PATH, tmp_path / "none", digest=digest_of(b"")))
    assert caught.value.where == str(tmp_path / "none")


def test_a_put_that_takes_too_long_is_stopped(source: Path) -> None:
    end = FarEnd(lambda command: None)
    with pytest.raises(CommandTimeout, match="groundplane-put /usr/local/bin/tool"):
        over_ssh(end, lambda ssh: ssh.put("cp1", PATH, source, digest=digest_of(CONTENT), timeout=0.01))
    assert end.stopped == [end.begun[0].mark]


def test_what_is_got_is_private_and_known_by_its_digest(tmp_path: Path) -> None:
    target = tmp_path / "target"
    got = over_ssh(FarEnd(saying(CONTENT)), lambda ssh: ssh.get("cp1", PATH, target, digest=digest_of(CONTENT)))
    assert got == digest_of(CONTENT)
    assert target.read_bytes() == CONTENT
    assert target.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("content", [b"", b"\n", b"a\nb"])
@pytest.mark.parametrize("cut", [0, 1, 64, 65, 66])
def test_it_does_not_matter_where_what_is_got_is_cut(tmp_path: Path, content: bytes, cut: int) -> None:
    target = tmp_path / "target"
    said = sha256(content).hexdigest().encode() + b"\n" + content
    end = FarEnd(saying_in_pieces(said[:cut], said[cut:]))
    assert over_ssh(end, lambda ssh: ssh.get("cp1", PATH, target)) == digest_of(content)
    assert target.read_bytes() == content


@pytest.mark.parametrize(
    ("script", "digest", "words"),
    [
        (saying(CONTENT), digest_of(b"another"), "another content than asked for"),
        (saying(CONTENT[:-1]), "", "did not arrive as it is there"),
        (saying(CONTENT, status=1), "", "ended with status 1"),
    ],
)
def test_a_get_that_fails_leaves_the_old_file(
    tmp_path: Path, script: Callable[[Command], None], digest: str, words: str
) -> None:
    target = tmp_path / "target"
    target.write_bytes(b"old")
    with pytest.raises(TransportError, match=words):
        over_ssh(FarEnd(script), lambda ssh: ssh.get("cp1", PATH, target, digest=digest))
    assert target.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [target], "nothing of it is left"


def test_the_fake_keeps_files_and_checks_them_as_well(source: Path, tmp_path: Path) -> None:
    fake, target = FakeTransport(), tmp_path / "target"
    asyncio.run(fake.put("cp1", PATH, source, digest=digest_of(CONTENT), mode=0o755))
    assert asyncio.run(fake.get("cp1", PATH, target)) == digest_of(CONTENT)
    assert target.read_bytes() == CONTENT
    assert fake.commands("cp1") == [("put", PATH, "0755"), ("get", PATH)]
    with pytest.raises(TransportError, match="is not what should go"):
        asyncio.run(fake.put("cp1", PATH, source, digest=digest_of(b"another")))
    with pytest.raises(CommandFailed):
        asyncio.run(fake.get("cp2", PATH, target))
    fake.on("cp1", "put", PATH, status=1, stderr="no space left")
    with pytest.raises(CommandFailed, match="status 1"):
        asyncio.run(fake.put("cp1", PATH, source, digest=digest_of(CONTENT)))
