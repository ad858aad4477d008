"""Local accounts: made, and brought to what is wanted of them; never removed."""

from __future__ import annotations

from groundplane.agent.accounts import accounts
from groundplane.agent.error import AgentError
from groundplane.agent.machine import LocalMachine
from groundplane.state.model import User


def make(machine: LocalMachine, user: User) -> None:
    """useradd(8). The home of a system account isn't made: what lies in it is a component's to say."""
    kind = ("--system", "--no-create-home") if user.system else ("--create-home",)
    number = ("--uid", str(user.uid)) if user.uid is not None else ()
    _run(machine, "useradd", *kind, *number, "--user-group", *_settings(user), user.name)


def alter(machine: LocalMachine, user: User) -> None:
    """usermod(8). Its number stays: files all over the machine may belong to that."""
    number = accounts(machine).user(user.name)
    if user.uid not in (None, number):
        raise AgentError(
            f"there is a user {user.name} with the number {number}, and {user.uid} is needed",
            hint=f"if it is nobody's, `userdel {user.name}` on the machine, and run this again",
        )
    _run(machine, "usermod", "--append", *_settings(user), user.name)


def _settings(user: User) -> tuple[str, ...]:
    groups = ("--groups", ",".join(user.groups)) if user.groups else ()
    return ("--home", user.home, "--shell", user.shell, *groups)


def _run(machine: LocalMachine, *argv: str) -> None:
    ran = machine.runner.run(argv)
    if ran.status != 0:
        raise AgentError(f"{argv[0]} {argv[-1]} ended with status {ran.status}", detail=ran.words)
