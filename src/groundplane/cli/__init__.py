"""The command line. Thin: it asks ``recipes`` and shows what comes back; nothing is decided here."""

from __future__ import annotations

import signal
import sys
from typing import NoReturn


def main() -> None:
    """The entry point of both programs."""
    signal.signal(signal.SIGTERM, _stop)  # SIGTERM ends a command as Ctrl-C does; asyncio's parts set their own
    try:
        from groundplane.cli.app import app

        app()
    except KeyboardInterrupt:  # before any command began
        sys.exit(130)


def _stop(*_: object) -> NoReturn:
    raise KeyboardInterrupt
