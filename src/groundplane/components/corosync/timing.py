"""Corosync's clocks, in milliseconds, in one place: others (the address's lease) must fit into them.

A member is given up ``TOKEN`` after its last word, and the others agree on that within ``CONSENSUS``; then the third
vote decides. ``TOKEN`` is Corosync's floor: its transport's own timers can't go lower. ``CONSENSUS`` may be less than
``TOKEN`` with two nodes (corosync.conf(5)). ``HOLD`` is how long the token rests while nothing is said; a new
membership rests as long before it goes on, and Pacemaker with it. Less costs processor time: measured on the member
that holds it, 3 % of one at 66 ms (what Corosync makes of this token), 4 % at 30, 8 % at 15. ``VOTE`` bounds how old
the vote's connection may be: a daemon there that stays silent for 0.8 x 1.5 of it is given up, so a hung balancer holds
the decision up no longer than that.
"""

from __future__ import annotations

TOKEN = 400
CONSENSUS = 80
HOLD = 30
RETRANSMITS = 4
PING = 200
PING_TIMEOUT = 2000
VOTE = 400
VOTE_SYNC = 4000
SOONEST_TAKEOVER = TOKEN + CONSENSUS
