"""The one way into ``spec``: from the user's file to a specification without a fault, or to all its faults."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from groundplane.spec.document import parse
from groundplane.spec.draft import understood
from groundplane.spec.model import ClusterSpec
from groundplane.spec.problem import InvalidCluster
from groundplane.spec.rules import broken
from groundplane.spec.source import read


def load(source: Path | bytes, *, name: str, versions: Sequence[str]) -> ClusterSpec:
    """Read a cluster file. ``name`` is what messages call it; ``versions`` are the Kubernetes versions there is
    software for, newest first.

    Raises ``InvalidCluster`` with every problem, each at its line. Nothing outside the file is looked at.
    """
    text = read(source, name)
    document = parse(text, name)
    draft, problems = understood(document)
    found = [*document.problems, *problems]
    if draft is not None:
        found.extend(broken(draft, versions))
    if draft is None or found:
        raise InvalidCluster(name, found, text)
    return draft.spec
