"""The platform a command is about, where that platform stands already."""

from __future__ import annotations

from typing import TYPE_CHECKING

from groundplane.cli.session import Session

if TYPE_CHECKING:
    from groundplane.recipes.common import Named


def standing(session: Session) -> Named:
    """The platform the file names. A file that became invalid since is told of, and no hindrance."""
    from groundplane import recipes
    from groundplane.events import silent

    found = recipes.named(session.options(silent))
    if found.fault is not None:
        warning = session.out.note.style("warning:", "warn")
        session.out.tell(f"{warning} {found.fault}; this goes on with what {found.name} was built from")
        session.out.tell("  next: groundplane validate")
    return found
