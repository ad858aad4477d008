"""The one way into ``spec``: from the user's file to a specification without a fault, or to all its faults."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from groundplane.spec.document import Document, parse
from groundplane.spec.draft import Draft, understood
from groundplane.spec.model import ClusterSpec
from groundplane.spec.problem import InvalidCluster, Problem, dotted
from groundplane.spec.rules import broken
from groundplane.spec.source import read


def load(source: Path | bytes, *, name: str, versions: Sequence[str]) -> ClusterSpec:
    """Read a cluster file. ``name`` is what messages call it; ``versions`` are the Kubernetes versions there is
    software for, newest first.

    Raises ``InvalidCluster`` with every problem, each at its line. Nothing outside the file is looked at.
    """
    text = read(source, name)
    document = parse(text, name)
    draft, problems = _checked(document, versions)
    for other in document.others:
        inside = tuple(dotted(path) for path in other.repeated)
        problems += [problem for problem in _checked(other, versions)[1] if _is_at_or_below(problem.path, inside)]
    # What is wrong with a value's form may well make it an unfit value too: one fault, told once.
    told = {(problem.line, problem.column, problem.path) for problem in document.problems}
    found = [problem for problem in problems if (problem.line, problem.column, problem.path) not in told]
    found += document.problems
    if draft is None or found:
        sure = draft is not None and not any(problem.path == "name" for problem in found)
        raise InvalidCluster(name, found, text, platform=draft.spec.name if draft and sure else "")
    return draft.spec


def _checked(document: Document, versions: Sequence[str]) -> tuple[Draft | None, list[Problem]]:
    """What can be understood of the document, and all that is wrong with its values."""
    draft, problems = understood(document)
    return draft, [*problems, *(broken(draft, versions) if draft is not None else ())]


def _is_at_or_below(path: str, places: tuple[str, ...]) -> bool:
    return any(path == place or path.startswith((f"{place}.", f"{place}[")) for place in places)
