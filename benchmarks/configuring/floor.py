"""The floor below every tool: a cold connection to each machine at once, and a Python that does nothing there."""

from __future__ import annotations

from configuring.machines import Lab
from configuring.tools import Call


def floor(lab: Lab) -> Call:
    """One shell that starts an ssh for each machine and waits for all of them."""
    options = f"-F none -i {lab.key} -o IdentitiesOnly=yes -o UserKnownHostsFile={lab.known_hosts}"
    options += " -o StrictHostKeyChecking=yes -o PreferredAuthentications=publickey"
    start = f'ssh {options} root@$address python3 -c pass & pids="$pids $!"'
    wait = "for pid in $pids; do wait $pid || exit 1; done"
    return Call(("/bin/sh", "-c", f"for address in {' '.join(lab.addresses.values())}; do {start}; done; {wait}"))
