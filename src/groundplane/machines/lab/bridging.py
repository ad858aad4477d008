"""The filter of bridged packets: a part of the kernel that a node needs and that no machine can load for itself.

The answer of a pod to a neighbour on its node crosses the node's bridge only. Without the filter it never meets the
address translation that the question went through, and whoever asked a Service that ends at a neighbour waits in vain.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

from groundplane.errors import HostError, MachineError
from groundplane.machines.lab.command import HostTool, run

MODULE: Final = "br_netfilter"
SWITCHES: Final = ("bridge-nf-call-arptables", "bridge-nf-call-ip6tables", "bridge-nf-call-iptables")
_FOLDER: Final = Path("proc/sys/net/bridge")


def filters(root: Path = Path("/")) -> bool:
    """Whether the filter is there."""
    return (root / _FOLDER).is_dir()


def loadable(root: Path = Path("/")) -> bool:
    """Whether this computer's kernel has it as a module."""
    modules = root / "lib/modules" / os.uname().release
    return any(modules.glob(f"kernel/net/bridge/{MODULE}.ko*"))


async def filter_bridges(*, runner: HostTool = run, root: Path = Path("/")) -> None:
    """Load the filter where it isn't there; HostError where the kernel has none.

    This computer's own bridges go on unfiltered, as they were: each network namespace has switches of its own
    (since Linux 5.3), which are on to begin with. One that was loaded by somebody else is theirs to set.
    """
    if filters(root):
        return
    try:
        await runner(("modprobe", MODULE))
    except MachineError as error:
        raise HostError(
            f"the filter of bridged packets can't be loaded: {MODULE}",
            hint="install the package of modules that belongs to this computer's kernel",
            detail=error.detail,
        ) from error
    for switch in SWITCHES:
        (root / _FOLDER / switch).write_text("0", encoding="ascii")
