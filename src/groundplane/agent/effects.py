"""What units do to a machine beyond running: a one-shot unit is active long after somebody undid what it did."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from groundplane.agent.machine import LocalMachine
from groundplane.agent.runner import Running
from groundplane.state.model import Unit

_GONE = 1
_PATIENCE = 20.0
"""Seconds a program may take to say whether an effect is there."""


def ask(machine: LocalMachine, units: Iterable[Unit]) -> dict[str, Running]:
    """Begin asking for the effects of ``units``; ``missing`` reads what comes of it."""
    return {unit.name: machine.runner.start(unit.effect, timeout=_PATIENCE) for unit in units if unit.effect}


def missing(asked: Mapping[str, Running]) -> dict[str, str]:
    """The units whose effect isn't there, and in what words: the program's status is 1. With any other it could not
    tell, and nobody knows."""
    ended = {name: running.wait() for name, running in asked.items()}
    return {
        name: next(iter(ran.words.splitlines()), "its effect is gone")
        for name, ran in ended.items()
        if ran.status == _GONE
    }
