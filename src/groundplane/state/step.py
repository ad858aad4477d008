"""Cluster-wide acts: probe, act, probe again. A Step whose probe holds does nothing, so resuming is running again."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Completed:
    """How a command on a machine ended. ``stdout`` and ``stderr`` are as the command wrote them.

    They may hold secrets (a kubeconfig that was read), so a Completed shown in a traceback doesn't show them.
    """

    status: int
    stdout: bytes = field(repr=False)
    stderr: bytes = field(repr=False)

    @property
    def text(self) -> str:
        return self.stdout.decode(errors="replace").strip()


class Reach(Protocol):
    """How steps and checks touch machines: run a command, nothing else.

    ``argv`` never holds a secret: secrets go by ``stdin``. Raises ``Unreachable`` when the machine does not
    answer, ``CommandTimeout`` after ``timeout`` seconds, and ``CommandFailed`` for a status other than zero
    when ``check`` is true.
    """

    async def run(
        self,
        machine: str,
        argv: Sequence[str],
        *,
        stdin: bytes = b"",
        timeout: float = 60,
        check: bool = True,
    ) -> Completed: ...


Probe = Callable[[Reach], Awaitable[bool]]
Act = Callable[[Reach], Awaitable[None]]
Instead = Callable[[Reach], Awaitable[tuple[str, float | None]]]
"""What is there where a Step does not hold, and since when (seconds since 1970, UTC; None where nobody knows)."""
Diff = Callable[[Reach], Awaitable[str]]


@dataclass(frozen=True, slots=True)
class Step:
    """One act.

    ``name`` is unique (``kubeadm-init``, ``kubeadm-join:cp2``); ``machine`` is where it is shown in progress
    (or ``platform``); ``why`` tells the user what it is for; ``needs`` names the steps that must hold first.
    ``probe`` says whether it already holds and must be cheap, read-only and safe at any time.
    ``deadline`` bounds act plus the second probe, in seconds.
    ``needs_machines`` are the machines that must be up and configured (first boot done) before the step may be probed.
    ``instead`` tells more where the probe does not hold, for those who only look. They ask for it, and for ``diff``,
    right after the probe.
    ``tidies``: it takes away what machines that went have left, and comes when they are gone.
    ``mends``: it brings back what was taken from a machine in use, with the help of what these Steps stand for, or of
    none. While they hold, it comes before other changes, whose checks would suffer from what is missing.
    ``founds``: it begins what all others live on. While it doesn't hold, nobody may leave: whoever leaves could be what
    it would begin anew.
    ``diff``, where it is about texts, gives those who only look a unified diff from what is there to what should be.
    ``disturbs``: it interrupts what its machine serves. The others must be able to carry on before, and the checks of
    the platform hold after it.
    ``restarts``: what it stands for comes with what its machine is made of. While it doesn't hold, the machine is
    switched off, and on again with today's, where the others can do without it.
    ``early``: of the Steps by which a machine leaves, it comes before the machines that stay are told.
    """

    name: str
    machine: str
    why: str
    probe: Probe
    act: Act
    needs: tuple[str, ...] = ()
    needs_machines: tuple[str, ...] = ()
    deadline: float = 300
    instead: Instead | None = None
    diff: Diff | None = None
    disturbs: bool = False
    tidies: bool = False
    early: bool = False
    founds: bool = False
    restarts: bool = False
    mends: tuple[str, ...] | None = None
