"""A transport that follows a script: for tests, and shipped so that everybody's tests use the same one.

    fake = FakeTransport()
    fake.on("cp1", "kubeadm", "init", answers=b"done")
    fake.on("*", "systemctl", "is-active", status=3)
    fake.on("cp2", "true", raises=Unreachable("off", where="cp2"))
    fake.on("cp1", "cat", then=lambda call: Completed(0, call.stdin, b""))
    fake.on("cp1", "put", "/usr/local/bin/kubelet", raises=Unreachable("off", where="cp1"))

The longest matching beginning of argv wins, an exact machine before ``*``, the later of two equal rules before the
earlier. Files are kept without a script. A command nobody scripted is an AssertionError: a fake that answers anything
proves nothing.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path

from groundplane.errors import TransportError
from groundplane.state.step import Completed
from groundplane.transport.base import silent
from groundplane.transport.content import LONGEST, Told
from groundplane.transport.words import failed

ANY: str = "*"


@dataclass(frozen=True, slots=True)
class Call:
    """One command as it was asked for."""

    machine: str
    argv: tuple[str, ...]
    stdin: bytes = field(default=b"", repr=False)
    timeout: float = 60
    check: bool = True


Answer = Callable[[Call], Completed]


@dataclass(frozen=True, slots=True)
class _Rule:
    machine: str
    prefix: tuple[str, ...]
    answer: Answer

    def matches(self, call: Call) -> bool:
        return self.machine in (ANY, call.machine) and call.argv[: len(self.prefix)] == self.prefix


@dataclass(slots=True)
class FakeTransport:
    """A Transport whose answers are scripted and whose calls are kept, in order, in ``calls``."""

    calls: list[Call] = field(default_factory=list)
    files: dict[tuple[str, str], bytes] = field(default_factory=dict)
    """What lies on the machines, by machine and path, as ``put`` brought it."""
    _rules: list[_Rule] = field(default_factory=list)

    def on(
        self,
        machine: str,
        *prefix: str,
        answers: bytes | str = b"",
        status: int = 0,
        stderr: bytes | str = b"",
        raises: Exception | None = None,
        then: Answer | None = None,
    ) -> None:
        """Script what commands of ``machine`` (``*``: any) that begin with ``prefix`` come to."""
        completed = Completed(status, _bytes(answers), _bytes(stderr))

        def answer(call: Call) -> Completed:
            if raises is not None:
                raise raises
            return then(call) if then is not None else completed

        self._rules.append(_Rule(machine, prefix, answer))

    def in_turn(self, machine: str, *prefix: str, answers: Sequence[Completed | Exception]) -> None:
        """Script one answer per call; the last one stays."""
        left = list(answers)

        def answer(_: Call) -> Completed:
            found = left.pop(0) if len(left) > 1 else left[0]
            if isinstance(found, Exception):
                raise found
            return found

        self._rules.append(_Rule(machine, prefix, answer))

    def commands(self, machine: str = ANY) -> list[tuple[str, ...]]:
        """The argvs asked of a machine so far (``*``: of any)."""
        return [call.argv for call in self.calls if machine in (ANY, call.machine)]

    async def run(
        self,
        machine: str,
        argv: Sequence[str],
        *,
        stdin: bytes = b"",
        timeout: float = 60,
        check: bool = True,
    ) -> Completed:
        return self._answer(Call(machine, tuple(argv), stdin, timeout, check))

    async def stream(
        self, machine: str, argv: Sequence[str], *, stdin: bytes = b"", timeout: float = 600
    ) -> AsyncGenerator[bytes, None]:
        """The lines of the scripted answer; then, as of a real command, the failure if it has a status."""
        call = Call(machine, tuple(argv), stdin, timeout)
        completed = self._completed(call)
        for line in completed.stdout.splitlines():
            yield line
        _require(call, completed)

    async def put(
        self,
        machine: str,
        path: str,
        source: Path,
        *,
        digest: str,
        mode: int = 0o644,
        timeout: float = LONGEST,
        told: Told = silent,
    ) -> None:
        """Keep the content in ``files``, unless ``put PATH MODE`` is scripted to come to something else."""
        given = _read(source)
        call = Call(machine, ("put", path, f"{mode:04o}"), given, timeout)
        if self._matching(call):
            self._answer(call)
            return
        self.calls.append(call)
        if (found := f"sha256:{sha256(given).hexdigest()}") != digest:
            raise TransportError(f"{source} is not what should go to {path}", where=machine, detail=found)
        told(len(given))
        self.files[machine, path] = given

    async def get(
        self,
        machine: str,
        path: str,
        target: Path,
        *,
        digest: str = "",
        timeout: float = LONGEST,
        told: Told = silent,
    ) -> str:
        """What ``files`` has, unless ``get PATH`` is scripted to come to something else."""
        call = Call(machine, ("get", path), b"", timeout)
        if self._matching(call):
            content = self._answer(call).stdout
        else:
            self.calls.append(call)
            if (machine, path) not in self.files:
                raise failed(machine, call.argv, Completed(2, b"", b"no such file"))
            content = self.files[machine, path]
        found = f"sha256:{sha256(content).hexdigest()}"
        if digest not in ("", found):
            raise TransportError(f"{path} has another content than asked for", where=machine, detail=found)
        told(len(content))
        _write(target, content)
        return found

    def interactive(self, machine: str, argv: Sequence[str]) -> int:
        return self._answer(Call(machine, tuple(argv), check=False)).status

    def _answer(self, call: Call) -> Completed:
        completed = self._completed(call)
        if call.check:
            _require(call, completed)
        return completed

    def _completed(self, call: Call) -> Completed:
        self.calls.append(call)
        if not (matching := self._matching(call)):
            raise AssertionError(f"nobody scripted this on {call.machine}: {' '.join(call.argv)}")
        return matching[-1].answer(call)

    def _matching(self, call: Call) -> list[_Rule]:
        """The rules for it, the one that counts last."""
        matching = [
            ((len(rule.prefix), rule.machine != ANY, number), rule)
            for number, rule in enumerate(self._rules)
            if rule.matches(call)
        ]
        return [rule for _, rule in sorted(matching, key=lambda pair: pair[0])]


def _require(call: Call, completed: Completed) -> None:
    if completed.status != 0:
        raise failed(call.machine, call.argv, completed)


def _bytes(value: bytes | str) -> bytes:
    return value.encode() if isinstance(value, str) else value


def _read(path: Path) -> bytes:
    return path.read_bytes()


def _write(path: Path, content: bytes) -> None:
    path.write_bytes(content)
