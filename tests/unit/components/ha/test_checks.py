"""Checks hold on a healthy platform, and each can fail."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest
from tests.unit.components.ha import said
from tests.unit.components.ha.platform import topology
from tests.unit.components.ha.reach import Answer, Scripted

from groundplane.components import corosync, haproxy, pacemaker, qnetd
from groundplane.components.catalog import published
from groundplane.components.corosync.quorum import Glimpse, summary
from groundplane.components.pacemaker.status import holder
from groundplane.spec.model import Standby
from groundplane.topology.model import Topology
from groundplane.verify.condition import NotYet

LB2 = "52:54:00:00:00:0C"


def crypto(argv: Sequence[str], _: bytes) -> str:
    values = {"totem.crypto_cipher": "aes256", "totem.crypto_hash": "sha256", "totem.transport": "knet"}
    return f"{argv[2]} (str) = {values[argv[2]]}"


def healthy(**changed: Answer) -> Scripted:
    """A platform where all is well, but for ``changed``: ``lb1_crm_mon="…"``."""
    answers: dict[tuple[str, str], Answer] = {
        ("gateway", "arping"): said.arping(LB2),
        ("gateway", "corosync-qnetd-tool"): said.vote("10.80.0.11", "10.80.0.12"),
    }
    answers |= {(machine.name, "curl"): "[+]ping ok\nreadyz check passed\n" for machine in topology().machines}
    for name in ("lb1", "lb2"):
        answers[name, "crm_mon"] = said.monitor()
        answers[name, "corosync-quorumtool"] = said.quorum()
        answers[name, "corosync-cmapctl"] = crypto
        answers[name, "socat"] = said.stats()
    for key, value in changed.items():
        machine, _, program = key.partition("_")
        answers[machine, program if program == "crm_mon" else program.replace("_", "-")] = value
    return Scripted(answers)


def run(name: str, reach: Scripted, of: Topology | None = None) -> str:
    of = of or topology()
    parts = (haproxy.component(published), corosync.COMPONENT, qnetd.COMPONENT, pacemaker.COMPONENT)
    found = {check.name: check for part in parts for check in part.checks(of)}
    return asyncio.run(_probe(found[name].probe(reach)))


async def _probe(probe: object) -> str:
    return str(await probe)  # type: ignore[misc]


NAMES = [
    "haproxy-backends",
    "api-reachable",
    "quorum",
    "membership-encrypted",
    "quorum-vote",
    "floating-address",
    "pacemaker",
]


@pytest.mark.parametrize("name", NAMES)
def test_all_hold_on_a_healthy_platform(name: str) -> None:
    assert run(name, healthy())


@pytest.mark.parametrize(
    ("name", "changed", "words"),
    [
        ("haproxy-backends", {"lb2_socat": said.stats(cp3="DOWN")}, "lb2 sees cp3 DOWN"),
        ("haproxy-backends", {"lb1_socat": said.stats().replace("cp2", "cp9")}, "lb1 balances"),
        ("quorum", {"lb1_corosync_quorumtool": said.quorum(vote="NV", total=2)}, "expected 3 votes"),
        ("quorum", {"lb2_corosync_quorumtool": said.quorum(quorate="No")}, "not quorate"),
        ("membership-encrypted", {"lb2_corosync_cmapctl": ""}, "unset"),
        ("quorum-vote", {"gateway_corosync_qnetd_tool": said.vote("10.80.0.11")}, "lb2"),
        (
            "quorum-vote",
            {"gateway_corosync_qnetd_tool": said.vote("10.80.0.11", "10.80.0.12", tls="No")},
            "certificate",
        ),
        ("floating-address", {"gateway_arping": said.arping()}, "nobody answers"),
        ("floating-address", {"gateway_arping": said.arping(LB2, "52:54:00:00:00:0B")}, "both answer"),
        ("floating-address", {"lb1_crm_mon": said.monitor(holders=("lb1",))}, "lb1 says lb1"),
        ("pacemaker", {"lb1_crm_mon": said.monitor(failure=True)}, "does not answer"),
        ("pacemaker", {"lb2_crm_mon": said.monitor(quorate=False)}, "no quorum"),
        ("pacemaker", {"lb2_crm_mon": said.monitor(online=("lb2",))}, "online: lb2"),
        ("pacemaker", {"lb2_crm_mon": said.monitor(haproxy=("lb2",))}, "HAProxy runs on lb2"),
    ],
)
def test_each_can_fail(name: str, changed: dict[str, Answer], words: str) -> None:
    with pytest.raises(NotYet, match=words):
        run(name, healthy(**changed))


def test_with_a_cold_standby_only_the_active_one_is_asked() -> None:
    cold = topology(standby=Standby.COLD)
    seen = said.monitor(haproxy=("lb2",))
    reach = healthy(lb1_crm_mon=seen, lb2_crm_mon=seen, lb1_socat=None)
    assert run("haproxy-backends", reach, cold).startswith("lb2:")
    assert run("pacemaker", reach, cold)


def test_the_holder_is_found_while_a_balancer_is_down() -> None:
    assert asyncio.run(holder(healthy(lb1_crm_mon=None), topology())) == "lb2"


def test_a_balancer_without_a_majority_is_not_believed() -> None:
    reach = healthy(lb1_crm_mon=said.monitor(quorate=False, holders=("lb1",)))
    assert asyncio.run(holder(reach, topology())) == "lb2"


def test_nobody_holds_it_when_none_answers() -> None:
    assert asyncio.run(holder(healthy(lb1_crm_mon=None, lb2_crm_mon=None), topology())) is None


def test_the_summary_names_each_balancer_even_the_dead() -> None:
    found = asyncio.run(summary(healthy(lb2_corosync_quorumtool=None), topology()))
    assert found == {
        "lb1": Glimpse("quorate, 3 of 3 votes, members lb1, lb2"),
        "lb2": Glimpse("no answer", "no answer"),
    }


def test_the_summary_tells_of_a_lost_vote_as_the_check_does() -> None:
    lost = healthy(lb1_corosync_quorumtool=said.quorum(vote="NV", total=2))
    problem = asyncio.run(summary(lost, topology()))["lb1"].problem
    with pytest.raises(NotYet, match=f"lb1: {problem}"):
        run("quorum", lost)


def test_a_machine_that_does_not_reach_the_api_is_named() -> None:
    with pytest.raises(NotYet, match="cp1: certificate problem"):
        run("api-reachable", healthy(cp1_curl="certificate problem"))


# -- whether the other one can carry the address ------------------------------------------------------------------


def spare(name: str, reach: Scripted, of: Topology | None = None) -> str:
    of = of or topology()
    check = pacemaker.COMPONENT.spare(of, of.machine(name))
    assert check is not None
    return asyncio.run(_probe(check.probe(reach)))


def test_a_balancer_may_be_worked_on_while_the_other_is_fit() -> None:
    assert spare("lb1", healthy()) == "lb2 is online and quorate"


@pytest.mark.parametrize(
    ("seen", "words"),
    [
        (said.monitor(quorate=False), "no quorum"),
        (said.monitor(online=("lb1",)), "isn't online"),
        (said.monitor(haproxy=("lb1",)), "HAProxy doesn't run on lb2"),
    ],
)
def test_and_not_while_it_is_not(seen: str, words: str) -> None:
    with pytest.raises(NotYet, match=words):
        spare("lb1", healthy(lb2_crm_mon=seen))


def test_nobody_stands_in_for_other_machines() -> None:
    of = topology()
    assert pacemaker.COMPONENT.spare(of, of.gateway) is None
    assert pacemaker.COMPONENT.spare(of, of.control_planes[0]) is None
