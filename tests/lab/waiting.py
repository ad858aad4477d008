"""Waiting for what must come true soon, on computers of any speed."""

from __future__ import annotations

import time
from collections.abc import Callable


def wait_for(what: str, holds: Callable[[], bool], seconds: float) -> None:
    """Ask twice a second until ``holds``; an AssertionError that names ``what`` when it doesn't in ``seconds``."""
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, f"did not come true within {seconds:.0f} s: {what}"
        time.sleep(0.5)
