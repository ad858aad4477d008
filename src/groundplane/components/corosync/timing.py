"""Corosync's clocks, in milliseconds, in one place: others (the address's lease) must fit into them.

A member is given up ``TOKEN`` after its last word, and the others agree on that within ``CONSENSUS``; then the third
vote decides. ``TOKEN`` is Corosync's floor: its transport's own timers can't go lower. ``CONSENSUS`` may be less than
``TOKEN`` with two nodes (corosync.conf(5)). ``VOTE`` bounds how old the vote's connection may be: a daemon there that
stays silent for 0.8 x 1.5 of it is given up, so a hung balancer holds the decision up no longer than that.
"""

from __future__ import annotations

TOKEN = 400
CONSENSUS = 120
RETRANSMITS = 4
PING = 200
PING_TIMEOUT = 2000
VOTE = 400
VOTE_SYNC = 4000
SOONEST_TAKEOVER = TOKEN + CONSENSUS
