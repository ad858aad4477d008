"""Stopping a command at the far end of an SSH connection, with all that it started.

The protocol has signals (RFC 4254, section 6.9), but OpenSSH's server refuses them to sessions of root ("session
signalling requires privilege separation"), and closing the channel leaves a command running that neither reads nor
writes. So every command carries a mark in its environment, which whatever it starts inherits, also across sessions
and process groups; what systemd starts on its behalf doesn't, and is meant to stay. Who carries the mark is found
in /proc and ended by a second command on the same connection.
"""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from typing import Final

from groundplane.transport.nspawn import ENVIRONMENT

MARK: Final = "GROUNDPLANE_COMMAND"
_STEP: Final = 0.1  # seconds between two looks

# grep: the names of the files (-l) that hold exactly (-xF) this among their NUL-terminated (-z) entries.
_STOP: Final = """\
found() { grep -lszxF -e "$1" /proc/[0-9]*/environ | cut -d/ -f3; }
mark=$1 looks=$2 step=$3
pids=$(found "$mark"); [ -z "$pids" ] || kill -s TERM $pids
while pids=$(found "$mark"); [ -n "$pids" ] && [ "$looks" -gt 0 ]; do sleep "$step"; looks=$((looks - 1)); done
looks=$2
while pids=$(found "$mark"); [ -n "$pids" ] && [ "$looks" -gt 0 ]; do
  kill -s KILL $pids; sleep "$step"; looks=$((looks - 1))
done
[ -z "$pids" ]
"""


def marked(mark: str, argv: Sequence[str]) -> str:
    """The command line for the far end's shell, whichever that is, that runs ``argv`` under ``mark``, in the language
    that commands have on every kind of machine."""
    return "exec " + shlex.join(("env", f"{MARK}={mark}", f"LANG={ENVIRONMENT['LANG']}", *argv))


def stop(mark: str, grace: float) -> str:
    """The command line that ends what runs under ``mark``: asked to at first, killed after ``grace`` seconds. Its
    status is 0 once nothing of it is left."""
    looks = str(round(grace / _STEP))
    return "exec " + shlex.join(("sh", "-c", _STOP, "groundplane-stop", f"{MARK}={mark}", looks, str(_STEP)))
