"""What the exit status says. The same for every command."""

from __future__ import annotations

from typing import Final

DONE: Final = 0
FAILED: Final = 1
USAGE: Final = 2
"""Bad usage, which an invalid cluster file is too."""
DIFFERS: Final = 2
"""What was found differs from what was asked for. A command that compares ends so for nothing else."""
INTERRUPTED: Final = 130
