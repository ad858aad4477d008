"""A scripted Reach: answers by machine and command, and remembers what was asked."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from groundplane.errors import CommandFailed, Unreachable
from groundplane.state.step import Completed

Answer = str | None | Callable[[Sequence[str], bytes], str]


@dataclass
class Scripted:
    """``answers`` by (machine, program); None: the machine doesn't answer; no entry: the command fails."""

    answers: dict[tuple[str, str], Answer]
    asked: list[tuple[str, tuple[str, ...], bytes]] = field(default_factory=list)

    async def run(
        self, machine: str, argv: Sequence[str], *, stdin: bytes = b"", timeout: float = 60, check: bool = True
    ) -> Completed:
        self.asked.append((machine, tuple(argv), stdin))
        if (machine, argv[0]) not in self.answers:
            if check:
                raise CommandFailed(f"{argv[0]} failed", status=1, where=machine)
            return Completed(1, b"", b"")
        answer = self.answers[machine, argv[0]]
        if answer is None:
            raise Unreachable("no answer", where=machine)
        text = answer if isinstance(answer, str) else answer(argv, stdin)
        return Completed(0, text.encode(), b"")
