"""What differs between a machine and its desired state, and what came of mending it. Travels with the agent: standard
library only.

The agent finds Changes; ``plan`` prints the very same data that ``apply`` has carried out.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import Enum


class Kind(str, Enum):  # noqa: UP042  # StrEnum is Python 3.11's, and the agent runs on 3.10
    """What a Change is about; a resource of ``state.model``."""

    PACKAGE = "package"
    VOLUME = "volume"
    DATA_FOLDER = "data-folder"
    USER = "user"
    DIRECTORY = "directory"
    LINK = "link"
    MOUNT = "mount"
    ARTIFACT = "artifact"
    FILE = "file"
    SYSCTL = "sysctl"
    UNIT = "unit"
    ADDRESS = "address"
    HOST_NAME = "host-name"


class Action(str, Enum):  # noqa: UP042
    """What is to be done about it."""

    CREATE = "create"
    UPDATE = "update"
    REMOVE = "remove"
    START = "start"
    STOP = "stop"
    RESTART = "restart"
    RELOAD = "reload"
    ENABLE = "enable"
    DISABLE = "disable"
    MASK = "mask"
    UNMASK = "unmask"
    RESET = "reset"
    """Forget that it failed: whoever starts it may do so again."""


@dataclass(frozen=True, slots=True)
class Change:
    """One difference. ``key`` is a path or a name, unique with ``kind`` and ``action`` on one machine.

    ``why`` is a short reason for people (``content differs``, ``mode 0600, not 0644``, ``reads what changes``).
    ``diff`` is a unified diff from what is there to what should be; empty for secrets, binary content and whatever is
    no text. ``since`` is when it came to differ as far as the machine knows (seconds since 1970, UTC): a file's change
    time, the moment a unit stopped; None where nobody knows. ``content`` is the digest of what has to be delivered for
    it, a program of the software bundle; empty where nothing has.
    """

    kind: Kind
    key: str
    action: Action
    why: str
    diff: str = field(default="", repr=False)
    since: float | None = None
    content: str = ""


@dataclass(frozen=True, slots=True)
class Done:
    """One Change carried out, ``seconds`` long. ``problem`` is empty unless it failed; ``hint`` then says what to do,
    ``detail`` holds the words of the program behind it."""

    change: Change
    seconds: float
    problem: str = ""
    hint: str = ""
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Refused:
    """One Change that must not be carried out: what should be put in place is wrong, or something is in the way.

    While a machine refuses one Change, none of its Changes is carried out.
    """

    change: Change
    problem: str
    hint: str = ""
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Wanted:
    """Content that the agent must be given before it begins: whoever asked it puts it at ``place``, and asks again.

    ``path`` is where it belongs, ``digest`` and ``size`` (bytes) are what it is. Nothing was touched.
    """

    path: str
    digest: str
    size: int
    place: str


@dataclass(frozen=True, slots=True)
class Findings:
    """What a look at a machine brought: its Changes in the order they would be carried out, and those of them that
    it refuses."""

    changes: tuple[Change, ...] = ()
    refused: tuple[Refused, ...] = ()


@dataclass(frozen=True, slots=True)
class AgentFailed:
    """The agent could not do its work at all; ``problem``, ``hint`` and ``detail`` as in ``Done``."""

    problem: str
    hint: str = ""
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Ended:
    """The agent's last word: it came to its end. Without it, it was cut off."""

    changes: int


def lines_diff(name: str, there: Sequence[str], wanted: Sequence[str]) -> str:
    """A unified diff of what is called ``name``, from the lines that are ``there`` to those that are ``wanted``."""
    from difflib import unified_diff  # costs its import, and mostly nothing differs

    return "\n".join(unified_diff(there, wanted, f"{name} (there)", f"{name} (wanted)", lineterm=""))
