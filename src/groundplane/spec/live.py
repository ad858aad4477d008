"""Which keys of the cluster file may change while the platform stands. Pure.

What the others say has gone into addresses, names, certificates and etcd; changing them takes another platform.
"""

from __future__ import annotations

import re
from typing import Final

_LIVE: Final = (
    r"sizes\..+",
    r"machines\[\d+\]\.size(\..+)?",
    r"network\.dhcp-pool\..+",
    r"network\.uplink\.nameservers\[\d+\]",
)
_LIVE_KEYS: Final = re.compile("|".join(f"(?:{pattern})" for pattern in _LIVE))

LIVE_WORDS: Final = "sizes, network.dhcp-pool and network.uplink.nameservers"
"""The same for people."""


def is_live(path: str) -> bool:
    """Whether the value at ``path`` (as ``sizes.worker.memory``) may change on a standing platform."""
    return _LIVE_KEYS.fullmatch(path) is not None
