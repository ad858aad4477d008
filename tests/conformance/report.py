"""What the suite's JSON reports say, and the plain words for it: what passed at once, what only when run again."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

_META: Final = re.compile(r"([\\.+*?()|\[\]{}^$])")
_WORDS: Final = 300  # characters of a failure's message in the summary; the log has all of it


@dataclass(frozen=True, slots=True)
class Outcome:
    """One test as it went. ``state`` is Ginkgo's word: passed, failed, panicked, timedout, interrupted …"""

    name: str
    state: str
    seconds: float
    words: str = ""

    @property
    def passed(self) -> bool:
        return self.state == "passed"


@dataclass(frozen=True, slots=True)
class Verdict:
    """``wanted`` are the names of all tests that were to pass, ``first`` how they went together, ``again`` how those
    that had not passed went by themselves."""

    wanted: tuple[str, ...]
    first: Mapping[str, Outcome]
    again: Mapping[str, Outcome]

    @property
    def at_once(self) -> tuple[str, ...]:
        return tuple(name for name in self.wanted if _passed(self.first, name))

    @property
    def left(self) -> tuple[str, ...]:
        """What the first run left without a pass: failed, or never reached."""
        return tuple(name for name in self.wanted if not _passed(self.first, name))

    @property
    def second_time(self) -> tuple[str, ...]:
        return tuple(name for name in self.left if _passed(self.again, name))

    @property
    def failed(self) -> tuple[str, ...]:
        return tuple(name for name in self.left if not _passed(self.again, name))

    @property
    def ok(self) -> bool:
        """Whether every test passed in some run; no test at all is no pass."""
        return bool(self.wanted) and not self.failed

    def lines(self) -> Iterator[str]:
        """The summary, for a person."""
        yield f"{len(self.wanted)} tests: {len(self.at_once)} passed at once, " + (
            f"{len(self.second_time)} only when run again by themselves, {len(self.failed)} not"
        )
        if self.second_time:
            yield from ("", "Passed only when run again:")
            yield from (f"- {name}{_why(self.first, name)}" for name in self.second_time)
        if self.failed:
            yield from ("", "Did not pass:")
            yield from (f"- {name}{_why(self.again, name) or _why(self.first, name)}" for name in self.failed)


def read(path: Path) -> dict[str, Outcome]:
    """The tests that ran (skipped ones left out) in a report of ``--json-report``, by full name."""
    if not path.is_file():
        return {}
    suites: list[dict[str, Any]] = json.loads(path.read_bytes()) or []
    outcomes = (_outcome(spec) for suite in suites for spec in suite["SpecReports"] or () if _ran(spec))
    return {outcome.name: outcome for outcome in outcomes}


def focus(names: Sequence[str]) -> str:
    """A regular expression (RE2) for exactly these tests: Ginkgo matches it against a test's whole name."""
    return "|".join(_META.sub(r"\\\1", name) + "$" for name in names)


def slowest(outcomes: Iterable[Outcome], count: int) -> tuple[Outcome, ...]:
    return tuple(sorted(outcomes, key=lambda outcome: -outcome.seconds)[:count])


def _ran(spec: Mapping[str, Any]) -> bool:
    return spec["LeafNodeType"] == "It" and spec["State"] not in ("skipped", "pending")


def _outcome(spec: Mapping[str, Any]) -> Outcome:
    words = str((spec.get("Failure") or {}).get("Message") or "")
    return Outcome(
        name=" ".join((*(spec["ContainerHierarchyTexts"] or ()), spec["LeafNodeText"])),
        state=spec["State"],
        seconds=spec["RunTime"] / 1e9,
        words=" ".join(words.split())[:_WORDS],
    )


def _passed(outcomes: Mapping[str, Outcome], name: str) -> bool:
    return name in outcomes and outcomes[name].passed


def _why(outcomes: Mapping[str, Outcome], name: str) -> str:
    if name not in outcomes:
        return ""
    outcome = outcomes[name]
    return f" ({outcome.state}: {outcome.words})"
