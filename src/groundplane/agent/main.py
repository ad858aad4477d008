"""The agent's own recipe: read what is wanted, look, compare, and either tell the difference or carry it out."""

from __future__ import annotations

import os
import sys

from groundplane.agent.checks import refusals
from groundplane.agent.diff import diff
from groundplane.agent.error import AgentError, of_os
from groundplane.agent.lock import held
from groundplane.agent.machine import LocalMachine
from groundplane.agent.observe import observe
from groundplane.agent.observed import Observed
from groundplane.state.change import AgentFailed, Change, Ended
from groundplane.state.model import MachineState
from groundplane.state.wire import Event, WireError, event_to_line, state_from_bytes

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    Say = Callable[[Event], None]


def main(mode: str) -> int:
    """``observe`` or ``apply`` what stands on stdin, in lines on stdout."""
    os.umask(0o022)
    if mode == "apply":
        from signal import SIG_IGN, SIGHUP, signal

        signal(SIGHUP, SIG_IGN)  # an operator who hangs up leaves no half-done work behind
    try:
        state = state_from_bytes(sys.stdin.buffer.read())
        work(LocalMachine(), state, say, alone=mode == "apply")
    except AgentError as problem:
        say(AgentFailed(problem.what, problem.hint, problem.detail))
    except WireError as error:
        say(AgentFailed(f"the agent doesn't understand what it was sent: {error}", hint="report this: it is a defect"))
    except OSError as error:
        foreign = of_os(str(error.filename or "the agent failed"), error)
        say(AgentFailed(foreign.what, foreign.hint))
    return 0


def work(machine: LocalMachine, state: MachineState, say: Say, *, alone: bool) -> None:
    """Say every Change, then every refusal; ``alone`` then carries them out, unless one is refused or something has to
    be delivered first. Ended is last."""
    with held(machine, alone=alone):
        seen = observe(machine, state)
        changes = diff(state, seen)
        for change in changes:
            say(change)
        refused = tuple(refusals(machine, state, seen, changes))
        for refusal in refused:
            say(refusal)
        if alone and changes and not refused:
            carry_out(machine, state, seen, changes, say)
        say(Ended(len(changes)))


def carry_out(
    machine: LocalMachine, state: MachineState, seen: Observed, changes: tuple[Change, ...], say: Say
) -> None:
    """Carry ``changes`` out, or say what has to be delivered before."""
    from groundplane.agent import incoming  # most runs find nothing to do
    from groundplane.agent.act import act
    from groundplane.agent.run import Run

    wanted = incoming.lacking(machine, state, changes)
    for one in wanted:
        say(one)
    if not wanted:
        act(Run(machine, state, seen, changes, say))
        incoming.clear(machine)


def say(event: Event) -> None:
    """One line, at once. Nobody may be listening any more: what was begun is finished all the same."""
    try:
        sys.stdout.buffer.write(event_to_line(event) + b"\n")
        sys.stdout.buffer.flush()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
