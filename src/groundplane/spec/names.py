"""Host names and domains that mean something already, whoever has them."""

from __future__ import annotations

import re
from typing import Final

# No machine of the file is called so, and the gateway's DNS gives none of these to a stranger who says so of itself.
NAMES_WITH_A_MEANING: Final = (
    # Programs look these up in the domain they are in, and do as the answer says: a proxy for everybody's browser
    # (draft-ietf-wrec-wpad), a tunnel for everybody's IPv6 (RFC 5214). Windows DNS's global query block list has both.
    "wpad",
    "isatap",
    # Where mail programs send the user's password to learn their settings (Outlook, Thunderbird), and what mail servers
    # ask how to deliver (RFC 8461).
    "autoconfig",
    "autodiscover",
    "mta-sts",
    # Names that resolvers and programs never ask anybody for, or take to be of a kind (RFC 6761, RFC 6762, RFC 7686,
    # RFC 9476), and those that Debian, Red Hat and macOS give to the machine itself.
    "localhost",
    "localhost4",
    "localhost6",
    "localdomain",
    "ip6-localhost",
    "ip6-loopback",
    "ip6-allnodes",
    "ip6-allrouters",
    "broadcasthost",
    "local",
    "invalid",
    "test",
    "example",
    "onion",
    "alt",
    "arpa",
    "internal",
)

# Domains whose names are answered in a way that no server can change, each with that way.
_FIXED: Final = (
    (r"(.+\.)?(localhost|invalid)", "never resolves to another host (RFC 6761)"),
    (r"(.+\.)?onion", "is Tor's, and resolvers ask nobody else (RFC 7686)"),
    (r"local", "is asked of the neighbours by multicast, not of a server (RFC 6762)"),
    (r"arpa|(.+\.)?(in-addr|ip6)\.arpa", "is where addresses have their names: who answers for it is fixed (RFC 6761)"),
    (r"test|example", "is set aside, and who answers for it is fixed (RFC 6761); a domain below it is not"),
)


def why_fixed(domain: str) -> str | None:
    """What follows ``domain`` in a sentence that says why it can't be a platform's, or None."""
    return next((reason for pattern, reason in _FIXED if re.fullmatch(pattern, domain)), None)
