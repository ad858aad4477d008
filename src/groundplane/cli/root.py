"""Saying that a command needs root, with the one line that gives it."""

from __future__ import annotations

import os
import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from groundplane.cli.session import Session
from groundplane.errors import HostError

if TYPE_CHECKING:
    from groundplane.spec.model import ProviderName


def need_root(session: Session, provider: ProviderName, why: str) -> None:
    """Return as root, and where work on the provider's machines needs none; HostError with the command to run instead
    otherwise."""
    from groundplane.machines.catalog import kind_of

    if is_root() or not kind_of(provider).needs_root:
        return
    raise HostError(f"only root may {why}", hint=f"run it as: {_with_sudo(session)}")


def is_root() -> bool:
    """Whether this process may do what only root may."""
    return os.geteuid() == 0


def _with_sudo(session: Session) -> str:
    # sudo has a PATH of its own and drops the environment: name the program in full, and the file if it came by it.
    program = Path(sys.argv[0])
    if program.name == "__main__.py":  # python -m groundplane: that file alone can't be run
        path = [f"PYTHONPATH={os.environ['PYTHONPATH']}"] if os.environ.get("PYTHONPATH") else []
        words = ["sudo", *(("env", *path) if path else ()), sys.executable, "-m", "groundplane"]
    else:
        words = ["sudo", str(program.absolute()) if program.exists() else program.name]
    if session.common.file is None and os.environ.get("GROUNDPLANE_FILE"):
        words += ["--file", str(session.file)]
    return shlex.join([*words, *sys.argv[1:]])
