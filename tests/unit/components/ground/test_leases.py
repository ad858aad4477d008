"""Leases of machines that are no more are given up; nobody else's are touched."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest
from tests.golden.laid_out import cases

from groundplane.components.dnsmasq.steps import leaving, left_over, steps, unknown
from groundplane.errors import Unreachable
from groundplane.spec.cards import made_macs
from groundplane.transport.fake import FakeTransport

LAB = cases()["lab"]
W1 = LAB.workers[0]
STRANGER = f"1700000000 02:00:00:00:00:07 {LAB.lan.pool_first} phone 01:02"
OURS = f"1700000000 {W1.mac} {W1.address} worker1 *"
WORKER9 = next(made_macs(LAB.name, "worker9"))
GONE = f"1700000000 {WORKER9} 10.80.0.59 worker9 *"
OUTSIDE = "1700000000 02:00:00:00:00:08 10.80.0.60 laptop *"
MOVED = f"1700000000 {W1.mac} 10.80.0.60 worker1 *"
TAKEN = f"1700000000 02:00:00:00:00:09 {W1.address} worker1 *"
OTHERS = "duid 00:01:00:01\n1700000000 17 fd00::7 * 00:01"


@pytest.mark.parametrize(
    ("lines", "left"),
    [
        ((STRANGER, OURS, OTHERS), ()),
        ((OURS, GONE), (WORKER9,)),
        ((OURS, OUTSIDE), ()),  # of a pool that was elsewhere
        ((MOVED, STRANGER), (W1.mac,)),
        ((TAKEN, STRANGER), ("02:00:00:00:00:09",)),  # dnsmasq: "not using configured address ... it is leased to"
    ],
)
def test_left_over_leases_are_told_from_strangers(lines: tuple[str, ...], left: tuple[str, ...]) -> None:
    assert left_over("\n".join(lines), LAB) == left


def test_they_are_taken_out_while_dnsmasq_does_not_run() -> None:
    step = next(step for step in steps(LAB) if step.tidies)
    fake = FakeTransport()
    fake.on("gateway", "cat", answers=f"{OURS}\n{GONE}\n".encode())
    fake.on("gateway", "sh")

    async def main() -> None:
        assert step.instead is not None
        assert not await step.probe(fake)
        assert await step.instead(fake) == (f"leases of {WORKER9}", None)
        await step.act(fake)

    asyncio.run(main())
    script = fake.calls[-1].argv[-1]
    assert script.index("systemctl stop dnsmasq") < script.index(WORKER9) < script.index("systemctl start")
    assert W1.mac not in script


def test_a_machine_with_a_card_of_its_own_takes_its_lease_with_it() -> None:
    """Nothing but the file could tell it from a stranger's."""
    others = replace(LAB, machines=tuple(machine for machine in LAB.machines if machine != W1))
    assert not leaving(others, W1)  # its card was made up for it: told by that
    real = replace(W1, mac="02:00:00:00:00:09")
    assert not leaving(LAB, real)  # it is made anew
    (step,) = leaving(others, real)
    fake = FakeTransport()
    fake.on("gateway", "cat", answers=f"{STRANGER}\n{TAKEN}\n".encode())
    fake.on("gateway", "sh")
    gone = FakeTransport()
    gone.on("gateway", "cat", answers=f"{STRANGER}\n".encode())

    async def main() -> None:
        assert not await step.probe(fake)
        await step.act(fake)
        assert await step.probe(gone)

    asyncio.run(main())
    assert f"({real.mac}) " in fake.calls[-1].argv[-1]


def test_machines_tell_a_new_gateway_which_lease_they_have() -> None:
    step = next(step for step in steps(LAB) if not step.tidies)
    fake = FakeTransport()
    fake.on("gateway", "cat", answers=f"{OURS}\n{STRANGER}\n".encode())
    fake.on("*", "true")
    fake.on("lb2", "true", raises=Unreachable("it is off"))
    fake.on("*", "sh")
    assert [machine.name for machine in unknown(OURS, LAB)] == ["lb1", "lb2", "cp1", "cp2", "cp3", "worker2"]

    async def main() -> None:
        assert not await step.probe(fake)
        await step.act(fake)

    asyncio.run(main())
    renewed = {call.machine for call in fake.calls if "networkctl renew lan0" in call.argv[-1]}
    assert renewed == {"lb1", "cp1", "cp2", "cp3", "worker2"}
