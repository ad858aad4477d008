"""Ending as another program: this process becomes it, so its exit status, its signals and its terminal are its own."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, NoReturn

from groundplane.errors import HostError

if TYPE_CHECKING:
    from groundplane.recipes.way_in import Kubectl


def become_kubectl(kubectl: Kubectl, argv: Sequence[str]) -> NoReturn:
    """Be kubectl from here on. HostError where the program can't be run.

    The kubeconfig lies in memory, in a file without a name that goes with the last process that has it open: nothing
    is left behind however kubectl ends. It is named by this process's number, which stays the same, so that plugins
    that start further programs find it too. Another user's processes can't (proc(5), ``/proc/pid/fd``).
    """
    handle = os.memfd_create("kubeconfig", 0)  # without MFD_CLOEXEC: it outlives the change of program
    os.fchmod(handle, 0o600)
    with os.fdopen(handle, "wb", closefd=False) as file:
        file.write(kubectl.kubeconfig.reveal())
    environment = {
        "KUBECACHEDIR": str(kubectl.cache),
        **os.environ,
        "KUBECONFIG": f"/proc/{os.getpid()}/fd/{handle}",
    }
    sys.stdout.flush()
    sys.stderr.flush()
    # Python ignores these two, which the next program would inherit.
    before = {number: signal.signal(number, signal.SIG_DFL) for number in (signal.SIGPIPE, signal.SIGXFSZ)}
    try:
        os.execve(kubectl.program, ("kubectl", *argv), environment)
    except OSError as error:
        for number, handler in before.items():
            signal.signal(number, handler)
        os.close(handle)
        raise HostError("kubectl can't be run", where=str(kubectl.program), detail=str(error)) from error
