"""What the components' own tools say, read: as they said it on Debian 13."""

from __future__ import annotations

import pytest
from tests.unit.components.ha import said

from groundplane.components.corosync import quorum
from groundplane.components.haproxy import stats
from groundplane.components.pacemaker import status
from groundplane.components.pacemaker.checks import macs
from groundplane.components.qnetd.checks import clients
from groundplane.verify.condition import NotYet


def test_quorum_with_every_vote() -> None:
    seen = quorum.parse(said.quorum())
    assert seen == quorum.Quorum(True, 3, 3, ("lb1", "lb2"), vote_alive=True, vote_cast=True)


def test_quorum_without_the_vote_s_connection() -> None:
    seen = quorum.parse(said.quorum(vote="NV", total=2))
    assert (seen.total, seen.vote_alive, seen.vote_cast) == (2, True, False)


def test_quorum_of_a_lone_balancer() -> None:
    seen = quorum.parse(said.QUORUM_ALONE)
    assert seen == quorum.Quorum(True, 1, 1, ("lb1",), vote_alive=False, vote_cast=False)


def test_no_quorum_status_is_not_taken_for_one() -> None:
    with pytest.raises(NotYet):
        quorum.parse("Cannot initialize CMAP service")


def test_haproxy_s_view_of_its_servers() -> None:
    seen = stats.servers(said.stats(cp2="DOWN"), "kube-apiserver")
    assert [(server.name, server.up) for server in seen] == [("cp1", True), ("cp2", False), ("cp3", True)]


def test_a_server_on_its_way_down_is_not_up() -> None:
    assert not stats.servers(said.stats(cp1="UP 1/2"), "kube-apiserver")[0].up


def test_no_statistics_are_not_taken_for_some() -> None:
    with pytest.raises(NotYet):
        stats.servers("Unknown command", "kube-apiserver")


def test_pacemaker_s_view() -> None:
    both = ("lb1", "lb2")
    seen = status.ClusterView(True, both, ("lb2",), both, (), "lb1", ((3, 20, 0), (3, 20, 0)))
    assert status.parse(said.monitor()) == seen


def test_an_address_on_two_balancers_is_seen() -> None:
    seen = status.parse(said.monitor(holders=("lb1", "lb2")))
    assert (seen.holders, seen.holder) == (("lb1", "lb2"), None)


def test_while_a_leader_is_elected_there_is_none() -> None:
    assert status.parse(said.monitor().replace(' name="lb1" id="1" with', " with")).leader == ""


def test_failed_actions_are_seen() -> None:
    assert status.parse(said.monitor(failure=True)).failures == (
        "haproxy_monitor_1000 on lb1: HAProxy runs but does not answer",
    )


def test_a_pacemaker_that_is_not_ready() -> None:
    for text in ("", "<pacemaker-result><status code='102' message='Not connected'/></pacemaker-result>"):
        with pytest.raises(NotYet):
            status.parse(text)


def test_every_machine_that_answers_for_an_address_is_counted_once() -> None:
    assert macs(said.arping("52:54:00:00:00:0B", "52:54:00:00:00:0B")) == ("52:54:00:00:00:0b",)
    assert len(macs(said.arping("52:54:00:00:00:0B", "52:54:00:00:00:0C", "52:54:00:00:00:0B"))) == 2
    assert macs(said.arping()) == ()


def test_the_vote_s_clients() -> None:
    seen = clients(said.vote("10.80.0.11", "10.80.0.12"))
    assert seen == {"10.80.0.11": True, "10.80.0.12": True}
    assert clients(said.vote("10.80.0.11", tls="No")) == {"10.80.0.11": False}
