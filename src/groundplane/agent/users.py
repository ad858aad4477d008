"""Local accounts: made, and brought to what is wanted of them; never removed."""

from __future__ import annotations

from groundplane.agent.error import AgentError
from groundplane.agent.machine import LocalMachine
from groundplane.state.model import User


def make(machine: LocalMachine, user: User) -> None:
    """useradd(8). The home of a system account isn't made: what lies in it is a component's to say."""
    kind = ("--system", "--no-create-home") if user.system else ("--create-home",)
    _run(machine, "useradd", *kind, "--user-group", *_settings(user), user.name)


def alter(machine: LocalMachine, user: User) -> None:
    _run(machine, "usermod", "--append", *_settings(user), user.name)


def _settings(user: User) -> tuple[str, ...]:
    groups = ("--groups", ",".join(user.groups)) if user.groups else ()
    return ("--home", user.home, "--shell", user.shell, *groups)


def _run(machine: LocalMachine, *argv: str) -> None:
    ran = machine.runner.run(argv)
    if ran.status != 0:
        raise AgentError(f"{argv[0]} {argv[-1]} ended with status {ran.status}", detail=ran.words)
