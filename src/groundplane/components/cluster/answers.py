"""What checks of the cluster are made of: a question bound to its platform, and many answers of one round."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from groundplane.errors import StepError
from groundplane.state.step import Reach
from groundplane.topology.model import Topology
from groundplane.verify.condition import NotYet

Probe = Callable[[Reach], Awaitable[str]]


@dataclass(frozen=True, slots=True)
class Answer:
    """One question from one node. ``kind`` is whose it is (``pod``, ``dns``, ``api``); ``problem`` empty where all is
    well."""

    node: str
    kind: str
    target: str
    problem: str


def parse_answers(node: str, text: str) -> tuple[Answer, ...]:
    """Read the lines a remote program prints: ``KIND|TARGET|PROBLEM``."""
    return tuple(Answer(node, *line.split("|", 2)) for line in text.splitlines() if line.count("|") >= 2)


def bound(probe: Callable[[Reach, Topology], Awaitable[str]], topology: Topology) -> Probe:
    """``probe`` for ``topology``; what can't be asked is something not seen yet."""

    async def bound(reach: Reach) -> str:
        try:
            return await probe(reach, topology)
        except StepError as error:
            raise NotYet(f"{error.what} {error.detail}".strip()) from error

    return bound


def answers_of(
    source: Callable[[Reach], Awaitable[Sequence[Answer]]], kind: str, well: str, *, least: int = 1
) -> Probe:
    """A probe that holds when every answer of that kind is right, and there are at least so many."""

    async def probe(reach: Reach) -> str:
        answers = tuple(answer for answer in await source(reach) if answer.kind == kind)
        wrong = [f"{answer.node} → {answer.target}: {answer.problem}" for answer in answers if answer.problem]
        if wrong:
            raise NotYet("; ".join(wrong[:5]) + (f" and {len(wrong) - 5} more" if len(wrong) > 5 else ""))
        if len(answers) < least:
            raise NotYet(f"only {len(answers)} of {least} answers came")
        return well

    return probe
