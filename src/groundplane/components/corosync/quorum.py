"""Reads ``corosync-quorumtool -s``. The tool has no other output; its lines are ``Key:   value`` and a member table
(corosync-quorumtool(8))."""

from __future__ import annotations

import asyncio
import re
from dataclasses import dataclass

from groundplane.errors import TransportError
from groundplane.state.step import Reach
from groundplane.topology.model import Topology
from groundplane.verify.condition import NotYet


@dataclass(frozen=True, slots=True)
class Quorum:
    """Quorum as one balancer sees it. ``members`` are names, in Corosync's order, without the third vote.

    ``vote_alive`` and ``vote_cast`` are the ``A`` and ``V`` flags of the balancer asked: its client of the third vote
    answers, and has the vote.
    """

    quorate: bool
    expected: int
    total: int
    members: tuple[str, ...]
    vote_alive: bool
    vote_cast: bool

    def __str__(self) -> str:
        state = "quorate" if self.quorate else "not quorate"
        return f"{state}, {self.total} of {self.expected} votes, members {', '.join(self.members) or 'none'}"


def parse(text: str) -> Quorum:
    """Parse the tool's words; ``NotYet`` when they aren't a quorum status."""
    fields = dict(re.findall(r"^([A-Z][A-Za-z ]+?):[ \t]+(.*?)[ \t]*$", text, re.MULTILINE))
    try:
        quorate, expected, total = fields["Quorate"] == "Yes", int(fields["Expected votes"]), int(fields["Total votes"])
    except (KeyError, ValueError) as error:
        raise NotYet("Corosync's quorum status can't be read") from error
    # Number, votes, the third vote's flags as that member has them, name. Without a third vote no flags either;
    # the third vote's own row has the number 0.
    row = r"^ *(\d+) +\d+ +(?:([A-Z]+(?:,[A-Z]+)*) +)?(\S+)(?: (\(local\)))? *$"
    rows = [match for match in re.findall(row, text, re.MULTILINE) if match[0] != "0"]
    device = next((flags.split(",") for _, flags, _, local in rows if local), [""])
    return Quorum(
        quorate=quorate,
        expected=expected,
        total=total,
        members=tuple(name for _, _, name, _ in rows),
        vote_alive="A" in device,
        vote_cast="V" in device,
    )


async def seen_by(reach: Reach, balancer: str) -> Quorum:
    """Quorum as ``balancer`` sees it. Raises ``TransportError`` when it can't be asked."""
    # The status is 2 without quorum, so it says nothing on its own.
    answer = await reach.run(balancer, ["corosync-quorumtool", "-s"], timeout=15, check=False)
    return parse(answer.text)


def lacking(quorum: Quorum, topology: Topology) -> str:
    """What is wrong with it as a balancer sees it; empty where every vote there is counts."""
    names = sorted(machine.name for machine in topology.balancers)
    votes = len(names) + topology.third_vote
    if not quorum.quorate or quorum.expected != votes or quorum.total != votes:
        return f"{quorum}; expected {votes} votes"
    if sorted(quorum.members) != names:
        return f"members {', '.join(quorum.members)}; expected {', '.join(names)}"
    if topology.third_vote and not (quorum.vote_alive and quorum.vote_cast):
        return "the gateway's vote isn't counted"
    return ""


@dataclass(frozen=True, slots=True)
class Glimpse:
    """What one balancer says of quorum, for the status display, and what is wrong with that; empty where nothing is."""

    words: str
    problem: str = ""


async def summary(reach: Reach, topology: Topology) -> dict[str, Glimpse]:
    """One per balancer, in the topology's order."""

    async def glimpse(balancer: str) -> Glimpse:
        try:
            quorum = await seen_by(reach, balancer)
        except TransportError as error:
            return Glimpse(error.what, error.what)  # whoever shows it names the balancer
        except NotYet as error:
            return Glimpse(str(error), str(error))
        return Glimpse(str(quorum), lacking(quorum, topology))

    names = [machine.name for machine in topology.balancers]
    return dict(zip(names, await asyncio.gather(*map(glimpse, names)), strict=True))
