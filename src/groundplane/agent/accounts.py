"""The machine's local accounts, read from its own files: asking the name service would ask the network as well."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from groundplane.agent.error import AgentError
from groundplane.agent.machine import LocalMachine
from groundplane.agent.observed import UserSeen


@dataclass(frozen=True, slots=True)
class Accounts:
    """Names and numbers both ways, and what is known of every user."""

    users: Mapping[str, int]
    groups: Mapping[str, int]
    seen: Mapping[str, UserSeen]
    user_names: Mapping[int, str]
    group_names: Mapping[int, str]

    def user(self, name: str) -> int:
        if name not in self.users:
            raise AgentError(f"there is no user {name}", hint="the package that makes it may have failed to install")
        return self.users[name]

    def group(self, name: str) -> int:
        if name not in self.groups:
            raise AgentError(f"there is no group {name}", hint="the package that makes it may have failed to install")
        return self.groups[name]

    def user_name(self, number: int) -> str:
        return self.user_names.get(number, str(number))

    def group_name(self, number: int) -> str:
        return self.group_names.get(number, str(number))


def accounts(machine: LocalMachine) -> Accounts:
    """Read passwd(5) and group(5)."""
    people = _rows(machine, "/etc/passwd", 7)
    groups = _rows(machine, "/etc/group", 4)
    users = {row[0]: int(row[2]) for row in people}
    numbers = {row[0]: int(row[2]) for row in groups}
    # The first of several names of one number is the one that others show.
    return Accounts(
        users=users,
        groups=numbers,
        seen={row[0]: UserSeen(int(row[2]), row[5], row[6], _groups_of(row[0], groups)) for row in people},
        user_names={number: name for name, number in reversed(users.items())},
        group_names={number: name for name, number in reversed(numbers.items())},
    )


def _groups_of(user: str, groups: list[list[str]]) -> tuple[str, ...]:
    return tuple(sorted(row[0] for row in groups if user in row[3].split(",")))


def _rows(machine: LocalMachine, path: str, columns: int) -> list[list[str]]:
    try:
        with open(machine.at(path), encoding="utf-8", errors="surrogateescape") as file:
            rows = [line.rstrip("\n").split(":") for line in file]
    except FileNotFoundError:
        return []
    return [row for row in rows if len(row) == columns and row[2].isdigit()]
