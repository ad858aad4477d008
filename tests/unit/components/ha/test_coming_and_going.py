"""Balancers that come, go and are replaced: their numbers, and how one leaves the others."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field

import pytest
from tests.unit.components.ha import said
from tests.unit.components.ha.platform import topology

from groundplane.components import corosync, pacemaker
from groundplane.components.corosync.numbers import numbers
from groundplane.errors import StepError, Unreachable
from groundplane.state.step import Completed, Step


@pytest.mark.parametrize(
    ("names", "known", "found"),
    [
        (["lb1", "lb2"], {}, [1, 2]),
        (["lb2"], {}, [2]),
        (["lb2", "lb3"], {}, [2, 3]),
        (["east", "west"], {}, [1, 2]),
        (["east", "lb1"], {}, [2, 1]),
        (["lb0", "lb01", "lb1234567"], {}, [1, 2, 3]),
        (["west"], {"east": 1, "west": 2}, [2]),
        (["north", "west"], {"east": 1, "west": 2}, [3, 2]),  # east may not be gone yet
        (["lb2", "lb1"], {"lb2": 1, "lb1": 2}, [1, 2]),
        (["lb1", "lb2"], {"east": 2}, [1, 3]),
    ],
)
def test_a_balancer_that_stays_keeps_its_number(names: list[str], known: dict[str, int], found: list[int]) -> None:
    assert list(numbers(names, known).values()) == found
    assert list(numbers(names, known)) == names


@dataclass
class World:
    """lb1 stays and lb2 goes. ``together``: Corosync on lb1 has lb2 for a member."""

    holder: str = "lb2"
    together: bool = True
    reachable: bool = True
    device: bool = True
    votes: int = 3
    vote_client: str = "active"
    asked: list[tuple[str, ...]] = field(default_factory=list)

    async def run(
        self, machine: str, argv: Sequence[str], *, stdin: bytes = b"", timeout: float = 60, check: bool = True
    ) -> Completed:
        if machine == "lb2" and not self.reachable:
            raise Unreachable("no answer", where=machine)
        self.asked.append((machine, *argv))
        members = ("lb1", "lb2") if self.together else ("lb1",)
        if argv[0] == "crm_mon":
            holders = (self.holder,) if self.holder in members else ()
            haproxy = ("lb1", "lb2") if self.holder == "lb2" and self.together else ("lb1",)
            return Completed(0, said.monitor(holders=holders, haproxy=haproxy, online=members).encode(), b"")
        if argv[0] == "corosync-quorumtool":
            text = said.quorum(total=self.votes)
            return Completed(0, (text if self.together else text.replace("NMW lb2", "NMW")).encode(), b"")
        if argv[0] == "crm_attribute":
            self.holder = "lb1"
        if argv[:3] == ["systemctl", "disable", "--now"] and argv[3] == "corosync.service":
            self.together = False
        if argv[:2] == ["systemctl", "is-active"]:
            return Completed(0 if self.vote_client == "active" else 3, self.vote_client.encode(), b"")
        if argv[:2] == ["systemctl", "stop"]:
            self.vote_client = "inactive" if self.vote_client == "active" else "failed"
        if argv[:2] == ["systemctl", "reset-failed"]:
            self.vote_client = "inactive"
        if argv[0] == "corosync-cmapctl":
            return Completed(0 if self.device else 1, b"", b"")
        return Completed(0, b"<cib><configuration/></cib>" if argv[0] == "cibadmin" else b"", b"")


def departure() -> tuple[Step, ...]:
    return pacemaker.COMPONENT.leaving(topology(balancers=1), topology().machine("lb2"))


def carry_out(world: World, found: tuple[Step, ...]) -> None:
    async def act() -> None:
        for step in found:
            if not await step.probe(world):
                await step.act(world)
            assert await step.probe(world), step.name

    asyncio.run(act())


def test_the_address_moves_before_anything_ends() -> None:
    world = World()
    carry_out(world, departure())
    acts = [argv[1:] for argv in world.asked if argv[1] in ("crm_attribute", "crm_resource", "systemctl")]
    assert acts[0] == ("crm_attribute", "--node=lb2", "--name=standby", "--update=on", "--lifetime=reboot")
    assert acts[1][:2] == ("crm_resource", "--wait")
    assert [argv[-1] for argv in acts[2:]] == [
        "pacemaker.service",
        "corosync-qdevice.service",
        "corosync.service",
        "groundplane-lease.service",
    ]
    assert all(argv[0] == "lb1" for argv in world.asked if argv[1] == "crm_attribute")


def test_one_that_died_has_left_already() -> None:
    world = World(holder="lb1", together=False, reachable=False)
    carry_out(world, departure())
    assert {argv[1] for argv in world.asked} == {"crm_mon", "cibadmin", "corosync-quorumtool"}


def test_one_that_lives_but_cannot_be_reached_is_not_taken_for_gone() -> None:
    with pytest.raises(StepError, match="the other balancers have it among them"):
        carry_out(World(reachable=False), departure())


def test_nobody_leaves_whose_vote_the_others_need() -> None:
    world = World(votes=2)  # the gateway's vote is away
    with pytest.raises(StepError, match="no majority"):
        carry_out(world, departure())
    assert not any(argv[1] in ("crm_attribute", "systemctl") for argv in world.asked)


def test_these_steps_come_before_the_others_are_told() -> None:
    assert [step.early for step in departure()] == [True, True]


@pytest.mark.parametrize("name", ["gateway", "cp1"])
def test_others_leave_in_their_own_way(name: str) -> None:
    assert pacemaker.COMPONENT.leaving(topology(), topology().machine(name)) == ()


def test_the_last_one_has_nobody_to_leave_to() -> None:
    assert pacemaker.COMPONENT.leaving(topology(balancers=0), topology().machine("lb1")) == ()


@pytest.mark.parametrize("client", ["active", "activating"])
def test_a_lone_balancer_ends_its_vote_when_corosync_needs_none(client: str) -> None:
    (step,) = corosync.COMPONENT.steps(topology(balancers=1))
    with pytest.raises(StepError, match="counts on the gateway's vote still"):
        carry_out(World(vote_client=client), (step,))
    world = World(device=False, vote_client=client)
    carry_out(world, (step,))
    assert world.vote_client == "inactive"
    assert corosync.COMPONENT.steps(topology()) == ()
