"""One run that changes a machine: what it is about, and how it tells what came of each Change."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import contextmanager
from dataclasses import dataclass

from groundplane.agent.error import AgentError
from groundplane.agent.hiding import hidden
from groundplane.agent.machine import LocalMachine
from groundplane.agent.observed import Observed
from groundplane.state.change import Change, Done, Kind
from groundplane.state.model import MachineState, Unit

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator


class Stopped(Exception):
    """Ends the run: a Change failed. Its Done, with the problem, has been told already."""


@dataclass(frozen=True, slots=True)
class Run:
    """``tell`` is given every Done as it happens."""

    machine: LocalMachine
    state: MachineState
    seen: Observed
    changes: tuple[Change, ...]
    tell: Callable[[Done], None]

    def of(self, *kinds: Kind) -> tuple[Change, ...]:
        return tuple(change for change in self.changes if change.kind in kinds)

    def units(self) -> dict[str, Unit]:
        return {unit.name: unit for unit in self.state.units}

    def failed(self, change: Change, seconds: float, problem: AgentError) -> None:
        detail = hidden(self.state, problem.detail)
        self.tell(Done(change, seconds, problem.what, problem.hint, detail))

    @contextmanager
    def carrying_out(self, *changes: Change) -> Iterator[None]:
        """Tell how ``changes``, done together in the block, went; their time is shared out among them."""
        begin = self.machine.monotonic()
        try:
            yield
        except AgentError as problem:
            for change in changes:
                self.failed(change, (self.machine.monotonic() - begin) / len(changes), problem)
            raise Stopped from problem
        for change in changes:
            self.tell(Done(change, (self.machine.monotonic() - begin) / len(changes)))
