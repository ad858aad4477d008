"""Corosync's clocks, in milliseconds, in one place: others (the address's lease) must fit into them.

A member is given up ``TOKEN`` after its last word, and the others agree on that within ``consensus``; then the third
vote decides, where two of them need one. ``TOKEN`` is Corosync's floor: its transport's own timers can't go lower. The
consensus may take less than that with two nodes, and should take more with three (corosync.conf(5)). ``HOLD`` is how
long the token rests while nothing is said; a new membership rests as long before it goes on, and Pacemaker with it.
Less costs processor time: measured on the member that holds it, 3 % of one at 66 ms (what Corosync makes of this
token), 4 % at 30, 8 % at 15. ``VOTE`` bounds how old the vote's connection may be: a daemon there that stays silent for
0.8 x 1.5 of it is given up, so a hung balancer holds the decision up no longer than that.
"""

from __future__ import annotations

PORT = 5405  # UDP, corosync.conf(5)
TOKEN = 400
HOLD = 30
RETRANSMITS = 4
PING = 200
PING_TIMEOUT = 2000
VOTE = 400
VOTE_SYNC = 4000


def consensus(members: int) -> int:
    """How long the members that are left may take to agree. The longer one is Corosync's own choice for this token."""
    return 80 if members < 3 else TOKEN * 12 // 10


def soonest_takeover(members: int) -> int:
    """How soon after the last token that any of them had the others can have agreed that one is gone: none is given up
    before the consensus has run out, however many others there are."""
    return TOKEN + consensus(members)
