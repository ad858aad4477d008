"""What units do to a machine beyond running: a one-shot unit is active long after somebody undid what it did."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from groundplane.agent.machine import Machine
from groundplane.agent.runner import NOT_FOUND, Running
from groundplane.state.model import Unit

_PATIENCE = 20.0
"""Seconds a program may take to say whether an effect is there."""


def ask(machine: Machine, units: Iterable[Unit]) -> dict[str, Running]:
    """Begin asking for the effects of ``units``; ``missing`` reads what comes of it."""
    return {unit.name: machine.runner.start(unit.effect, timeout=_PATIENCE) for unit in units if unit.effect}


def missing(asked: Mapping[str, Running]) -> dict[str, str]:
    """The units whose effect isn't there, and in what words. Where the program isn't either, nobody knows."""
    ended = {name: running.wait() for name, running in asked.items()}
    return {
        name: next(iter(ran.words.splitlines()), f"its effect is gone (status {ran.status})")
        for name, ran in ended.items()
        if ran.status not in (0, NOT_FOUND)
    }
