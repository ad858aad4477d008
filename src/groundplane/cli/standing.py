"""The platform a command is about, where that platform stands already."""

from __future__ import annotations

from typing import TYPE_CHECKING

from groundplane.cli.session import Session
from groundplane.events import silent

if TYPE_CHECKING:
    from groundplane.recipes.common import Named
    from groundplane.spec.model import ClusterSpec
    from groundplane.spec.problem import InvalidCluster


def standing(session: Session) -> Named:
    """The platform the file names. A file that became invalid since is told of, and no hindrance."""
    from groundplane import recipes

    found = recipes.named(session.options(silent))
    if found.fault is not None:
        warning = session.out.note.style("warning:", "warn")
        session.out.tell(f"{warning} {found.fault}; this goes on with what {found.name} was built from")
        session.out.tell("  next: groundplane validate")
    _warn(session, found.name, found.borne)
    return found


def wanted(session: Session) -> ClusterSpec:
    """The file, to be brought about. What a new platform would be refused and a standing one bears is told of."""
    from groundplane import recipes

    found = recipes.wanted(session.options(silent))
    _warn(session, found.spec.name, found.borne)
    return found.spec


def _warn(session: Session, platform: str, borne: InvalidCluster | None) -> None:
    if borne is None:
        return
    warning = session.out.note.style("warning:", "warn")
    session.out.tell(f"{warning} {platform} was built with names that a new platform is refused, and keeps them:")
    for problem in borne.problems:
        session.out.tell(f"    {borne.name}:{problem.line}:{problem.column}: {problem.path}: {problem.message}")
