"""What the kernel tells and is told: its settings, what is mounted, its addresses and routes, its name."""

from __future__ import annotations

import sys
from collections.abc import Iterable

from groundplane.agent.files import telling
from groundplane.agent.machine import LocalMachine
from groundplane.agent.observed import MountSeen
from groundplane.state.model import Sysctl


def settings(machine: LocalMachine, wanted: Iterable[Sysctl]) -> dict[str, str]:
    """The present values of ``wanted``; a setting this kernel doesn't have is left out."""
    found = {}
    for sysctl in wanted:
        try:
            with open(machine.at(_path(sysctl.key)), encoding="utf-8") as file:
                found[sysctl.key] = plain(file.read())
        except FileNotFoundError:
            continue
        except OSError as error:
            found[sysctl.key] = f"not readable ({error.strerror})"
    return found


def plain(value: str) -> str:
    """A value with single spaces: the kernel puts tabs between numbers."""
    return " ".join(value.split())


def set_one(machine: LocalMachine, sysctl: Sysctl) -> None:
    path = _path(sysctl.key)
    with telling(f"{sysctl.key} can't be set to {sysctl.value}"), open(machine.at(path), "w", encoding="utf-8") as file:
        file.write(sysctl.value)


def _path(key: str) -> str:
    """sysctl.d(5): dots separate, and a slash stands for a dot inside a name."""
    return "/proc/sys/" + key.translate(str.maketrans("./", "/."))


def mounts(machine: LocalMachine) -> dict[str, MountSeen]:
    """What is mounted where, the uppermost of each place; proc_pid_mountinfo(5)."""
    found = {}
    with telling("what is mounted can't be read"), open(machine.at("/proc/self/mountinfo"), encoding="utf-8") as file:
        for line in file:
            place, _, rest = line.partition(" - ")
            kind, source = rest.split()[:2]
            found[_unescaped(place.split()[4])] = MountSeen(_unescaped(source), kind)
    return found


def _unescaped(text: str) -> str:
    for code, char in (("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\134", "\\")):
        text = text.replace(code, char)
    return text


def addresses(machine: LocalMachine) -> frozenset[str]:
    """The machine's own IPv4 addresses, on whatever card: the leaves that /proc/net/fib_trie calls ``host LOCAL``."""
    found, leaf = set(), ""
    with telling("the addresses can't be read"), open(machine.at("/proc/net/fib_trie"), encoding="ascii") as file:
        for line in file:
            words = line.split()
            if words[:1] == ["|--"]:
                leaf = words[1]
            elif words[:3] == ["/32", "host", "LOCAL"]:
                found.add(leaf)
    return frozenset(found)


def routers(machine: LocalMachine) -> frozenset[tuple[str, str]]:
    """The card and the router of each IPv4 default route. /proc/net/route has addresses as the numbers they are on this
    processor (proc_pid_net(5))."""
    found = set()
    with telling("the routes can't be read"), open(machine.at("/proc/net/route"), encoding="ascii") as file:
        for line in file:
            words = line.split()
            if len(words) > 7 and words[1] == words[7] == "00000000":  # to everywhere; the head has words there
                number = int(words[2], 16).to_bytes(4, sys.byteorder)
                found.add((words[0], ".".join(str(byte) for byte in number)))
    return frozenset(found)


def host_name(machine: LocalMachine) -> str:
    with (
        telling("the host name can't be read"),
        open(machine.at("/proc/sys/kernel/hostname"), encoding="utf-8") as file,
    ):
        return file.read().strip()
