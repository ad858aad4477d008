"""A transport that follows a script: for tests, and shipped so that everybody's tests use the same one.

    fake = FakeTransport()
    fake.on("cp1", "kubeadm", "init", answers=b"done")
    fake.on("*", "systemctl", "is-active", status=3)
    fake.on("cp2", "true", raises=Unreachable("off", where="cp2"))
    fake.on("cp1", "cat", then=lambda call: Completed(0, call.stdin, b""))

The longest matching beginning of argv wins, an exact machine before ``*``, the later of two equal rules before the
earlier. A command nobody scripted is an AssertionError: a fake that answers anything proves nothing.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Sequence
from dataclasses import dataclass, field

from groundplane.errors import CommandFailed
from groundplane.state.step import Completed

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

    def interactive(self, machine: str, argv: Sequence[str]) -> int:
        return self._answer(Call(machine, tuple(argv), check=False)).status

    def _answer(self, call: Call) -> Completed:
        completed = self._completed(call)
        if call.check:
            _require(call, completed)
        return completed

    def _completed(self, call: Call) -> Completed:
        self.calls.append(call)
        matching = [
            ((len(rule.prefix), rule.machine != ANY, number), rule)
            for number, rule in enumerate(self._rules)
            if rule.matches(call)
        ]
        if not matching:
            raise AssertionError(f"nobody scripted this on {call.machine}: {' '.join(call.argv)}")
        return max(matching, key=lambda pair: pair[0])[1].answer(call)


def _require(call: Call, completed: Completed) -> None:
    if completed.status != 0:
        raise CommandFailed(
            f"{' '.join(call.argv)} ended with status {completed.status}",
            status=completed.status,
            where=call.machine,
            detail=completed.stderr.decode(errors="replace"),
        )


def _bytes(value: bytes | str) -> bytes:
    return value.encode() if isinstance(value, str) else value
