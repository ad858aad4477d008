"""The one way into ``spec``: from the user's file to a specification without a fault, or to all its faults."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from groundplane.spec import foreign
from groundplane.spec.document import CHARACTERS, Document, Mark, Value, parse
from groundplane.spec.draft import Draft, understood
from groundplane.spec.model import ClusterSpec
from groundplane.spec.problem import MOST, InvalidCluster, Problem, dotted
from groundplane.spec.remedy import Edits, Fault, edited
from groundplane.spec.rules import broken
from groundplane.spec.source import read

# Each remedy that is tried costs a check of the whole file: so many values and machines are looked at for all of them
# together.
_EFFORT = 12_000


def load(source: Path | bytes, *, name: str, versions: Sequence[str], built: Sequence[ClusterSpec] = ()) -> ClusterSpec:
    """Read a cluster file. ``name`` is what messages call it; ``versions`` are the Kubernetes versions there is
    software for, newest first. ``built`` is what the platform that it names was built from: what that bears, and can't
    get otherwise, is no problem.

    Raises ``InvalidCluster`` with every problem, each at its line. Nothing outside the file is looked at.
    """
    check = partial(_checked, versions=versions, built=built)
    text = read(source, name)
    accepts = partial(_is_whole, check=check)
    foreign.refuse_text(text, name, accepts)
    document = parse(text, name)
    if peers := foreign.problems(document, accepts):
        raise InvalidCluster(name, peers, text)
    checked = check(document)
    faults, more = list(checked.faults), checked.more
    for other in document.others:
        inside = frozenset(map(dotted, other.repeated))
        faults += [fault for fault in check(other).faults if _is_at_or_below(fault.problem.path, inside)]
    # What is wrong with a value's form may well make it an unfit value too: one fault, told once.
    told = {(problem.line, problem.column, problem.path) for problem in document.problems}
    faults = [each for each in faults if (each.problem.line, each.problem.column, each.problem.path) not in told]
    if checked.draft is None or faults or document.problems:
        found = [*document.problems, *_with_remedies(faults, document, checked.draft, check)]
        unsure = document.following or any(problem.path == "name" for problem in found)
        platform = checked.draft.spec.name if checked.draft and not unsure else ""
        raise InvalidCluster(name, found, text, platform=platform, more=more)
    return checked.draft.spec


@dataclass(frozen=True, slots=True)
class _Checked:
    """What can be understood of a document, all that is wrong with its values, and how many faults more."""

    draft: Draft | None
    faults: tuple[Fault, ...]
    more: int = 0


_Check = Callable[[Document], _Checked]


def _is_whole(data: dict[str, Value], check: _Check) -> bool:
    """Whether a cluster file with this content has no fault."""
    return not check(Document(data, {(): Mark((1, 1), (1, 1))}, ())).faults


def _checked(document: Document, versions: Sequence[str], built: Sequence[ClusterSpec]) -> _Checked:
    draft, faults, more = understood(document)
    return _Checked(draft, (*faults, *(broken(draft, versions, built) if draft is not None else ())), more)


def _with_remedies(faults: Iterable[Fault], document: Document, draft: Draft | None, check: _Check) -> list[Problem]:
    """The problems, each with the first of its remedies that holds. What is too far down to be shown isn't tried."""
    faults = sorted(faults, key=lambda fault: fault.problem)
    known = {(fault.problem.path, fault.problem.message) for fault in faults}
    effort = _EFFORT
    # A count is one value of the file, and as many machines for the rules; a text of a million characters is one too.
    characters = sum(len(mark.raw or "") for mark in document.marks.values())
    each = len(document.marks) + characters // CHARACTERS + (len(draft.machines) if draft is not None else 0) + 20

    def holds(fault: Fault, edits: Edits) -> bool:
        nonlocal effort
        effort -= each
        changed = edited(document, edits) if effort > 0 else None
        if changed is None:
            return False
        left = {(other.problem.path, other.problem.message) for other in check(changed).faults}
        return left <= known - {(fault.problem.path, fault.problem.message)}

    found: list[Problem] = []
    for fault in faults[:MOST]:
        fit = (remedy for remedy in fault.remedies if all(holds(fault, edits) for edits in remedy.ways))
        best = next(fit, None)
        found.append(fault.problem if best is None else fault.with_words(best.words))
    return found + [fault.problem for fault in faults[MOST:]]


def _is_at_or_below(path: str, places: frozenset[str]) -> bool:
    return path in places or any(path[: end.start()] in places for end in re.finditer(r"[.\[]", path))
