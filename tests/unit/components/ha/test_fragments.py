"""What the balancers' components put on which machine, and the promises their configuration files make."""

from __future__ import annotations

import re
from dataclasses import replace
from xml.etree import ElementTree

import pytest
from tests.unit.components.ha.platform import topology

from groundplane.components import corosync, haproxy, pacemaker, qnetd
from groundplane.components.catalog import published
from groundplane.components.corosync import timing
from groundplane.components.corosync.fragment import MIDDLE_PROGRAM, MIDDLE_UNIT
from groundplane.components.pacemaker.fragment import CIB, LEASE, LEASE_UNIT, cib
from groundplane.components.qnetd import nss
from groundplane.errors import StateError
from groundplane.spec.model import Standby
from groundplane.state import Fragment, MachineState, compose
from groundplane.topology.model import Topology

PARTS = (haproxy.component(published), corosync.COMPONENT, qnetd.COMPONENT, pacemaker.COMPONENT)


def state(of: Topology, name: str) -> MachineState:
    fragments: list[Fragment] = []
    for part in PARTS:
        fragment = part.fragment(of, of.machine(name))
        if fragment is not None:
            fragments.append(fragment)
    return compose(name, fragments)


def content(of: Topology, name: str, path: str) -> str:
    return next(file for file in state(of, name).files if file.path == path).content.decode()


def paths(of: Topology, name: str) -> set[str]:
    return {file.path for file in state(of, name).files}


def test_only_balancers_and_the_gateway_get_anything() -> None:
    assert state(topology(), "cp1") == MachineState("cp1")
    assert paths(topology(), "gateway") == {
        "/etc/default/corosync-qnetd",
        "/etc/groundplane/qnetd/ca.crt",
        "/etc/groundplane/qnetd/own.crt",
        "/etc/groundplane/qnetd/own.key",
        "/etc/systemd/system/corosync-qnetd.service.d/groundplane.conf",
        "/usr/lib/groundplane/nss-database",
    }


def test_both_balancers_get_the_same_first_configuration_of_pacemaker() -> None:
    assert content(topology(), "lb1", CIB) == content(topology(), "lb2", CIB)


def renamed(of: Topology, *names: str) -> Topology:
    """With the LAN cards of these machines called otherwise."""
    machines = (replace(machine, interface="ens3") if machine.name in names else machine for machine in of.machines)
    return replace(of, machines=tuple(machines))


def test_the_address_is_put_on_the_balancers_own_card() -> None:
    other = renamed(topology(), "lb1", "lb2")
    assert b'name="nic" value="ens3"' in cib(other)
    assert "--card ens3" in content(other, "lb1", f"/etc/systemd/system/{LEASE_UNIT}")
    with pytest.raises(StateError, match="ens3, lan0"):
        cib(renamed(topology(), "lb2"))


def test_same_input_same_bytes() -> None:
    assert state(topology(), "lb1") == state(topology(), "lb1")


def test_keys_are_secret_and_closed() -> None:
    closed = {file.path: (file.mode, file.secret) for file in state(topology(), "lb1").files if file.secret}
    assert closed == {
        "/etc/corosync/authkey": (0o400, True),
        "/etc/groundplane/qdevice/own.key": (0o600, True),
        "/etc/pacemaker/authkey": (0o640, True),
    }


def test_pacemaker_alone_starts_haproxy() -> None:
    units = {unit.name: unit for unit in state(topology(), "lb1").units}
    assert (units["haproxy.service"].enabled, units["haproxy.service"].active) == (False, None)
    assert units["haproxy.service"].reloads
    assert all(unit.enabled and unit.active for name, unit in units.items() if name != "haproxy.service")
    drop_in = content(topology(), "lb1", "/etc/systemd/system/haproxy.service.d/groundplane.conf")
    assert "Restart=no" in drop_in
    assert "Before=pacemaker.service" in drop_in


def test_haproxy_asks_every_control_plane_over_verified_tls() -> None:
    config = content(topology(), "lb1", "/etc/haproxy/haproxy.cfg")
    checked, unchecked = re.findall(r"^backend .*?\n\n", config, re.MULTILINE | re.DOTALL)
    servers = [("cp1", "10.80.0.21:6443"), ("cp2", "10.80.0.22:6443"), ("cp3", "10.80.0.23:6443")]
    assert [re.findall(r"^    server (\S+) (\S+)$", part, re.MULTILINE) for part in (checked, unchecked)] == [
        servers
    ] * 2
    assert "check-ssl" in checked
    assert "verify required ca-file /etc/haproxy/kubernetes-ca.pem" in checked
    assert "uri /readyz" in checked
    assert "verify none" not in config
    # Where all are called down, all are tried.
    assert "use_backend kube-apiserver-unchecked if { nbsrv(kube-apiserver) eq 0 }" in config
    assert "check" not in unchecked.removeprefix("backend kube-apiserver-unchecked")
    authority = content(topology(), "lb1", "/etc/haproxy/kubernetes-ca.pem").encode()
    assert authority == topology().secrets.kubernetes_ca.certificate


def test_haproxy_offers_nothing_but_the_api_to_the_lan() -> None:
    config = content(topology(), "lb1", "/etc/haproxy/haproxy.cfg")
    assert re.findall(r"^    bind (\S+)", config, re.MULTILINE) == [":6443", "127.0.0.1:8405"]
    assert "stats auth" not in config
    assert "mode 600" in config


def test_membership_is_encrypted_and_has_a_third_vote() -> None:
    config = content(topology(), "lb1", "/etc/corosync/corosync.conf")
    for line in ("crypto_cipher: aes256", "crypto_hash: sha256", "tls: required", "host: 10.80.0.1", "votes: 1"):
        assert line in config
    assert "two_node" not in config
    assert re.findall(r"name: (\S+)\n\s+ring0_addr: (\S+)", config) == [("lb1", "10.80.0.11"), ("lb2", "10.80.0.12")]


def test_corosync_restarts_only_for_what_it_reads_when_it_starts() -> None:
    path = "/etc/systemd/system/corosync.service.d/groundplane.conf"
    unit = next(unit for unit in state(topology(), "lb1").units if unit.name == "corosync.service")
    assert unit.reloads
    assert unit.restarts == ("/etc/corosync/authkey", path)
    told = re.findall(r"^#   (\S+): (.+)$", content(topology(), "lb1", path), re.MULTILINE)
    assert told == [
        ("version", "2"),
        ("cluster_name", "example"),
        ("transport", "knet"),
        ("ip_version", "ipv4"),
        ("provider", "corosync_votequorum"),
        ("sched_rr", "yes"),
    ]


def test_the_vote_is_closed_to_strangers() -> None:
    options = content(topology(), "gateway", "/etc/default/corosync-qnetd")
    assert "-l 10.80.0.1 " in options
    assert "-s req " in options
    assert "-c on" in options


@pytest.mark.parametrize(("dns_name", "name"), [(False, "Qnetd Server"), (True, "gateway.groundplane.internal")])
def test_balancers_ask_the_vote_for_the_name_its_certificate_bears(dns_name: bool, name: str) -> None:
    assert nss.server_name(topology(dns_name=dns_name).secrets.qnetd) == name
    options = content(topology(dns_name=dns_name), "lb1", "/etc/default/corosync-qdevice")
    assert re.search(r'^COROSYNC_QDEVICE_OPTIONS=".*"$', options, re.MULTILINE)
    assert f"net_nss_qnetd_cn={name}," in options


def test_a_lone_balancer_asks_for_no_vote_but_has_all_it_takes_to() -> None:
    alone, two = topology(balancers=1), topology()
    assert "device {" not in content(alone, "lb1", "/etc/corosync/corosync.conf")
    units = {unit.name: unit for unit in state(alone, "lb1").units}
    assert (units["corosync-qdevice.service"].enabled, units["corosync-qdevice.service"].active) == (False, None)
    assert state(alone, "gateway") == state(two, "gateway")
    # Nothing that has to restart differs when another one comes or goes.
    before = {file.path: file for file in state(alone, "lb1").files}
    differ = [file.path for file in state(two, "lb1").files if before.get(file.path) != file]
    assert differ == ["/etc/corosync/corosync.conf", CIB]
    assert units["corosync.service"].reloads
    assert b"migration-threshold" not in cib(alone)


def test_the_one_that_stays_keeps_its_number() -> None:
    two = topology()
    left = replace(two, machines=tuple(machine for machine in two.machines if machine.name != "lb1"))
    assert "nodeid: 2\n" in content(left, "lb2", "/etc/corosync/corosync.conf")
    assert b'<node id="2" uname="lb2"/>' in cib(left)


def properties(of: Topology) -> dict[str, str]:
    root = ElementTree.fromstring(cib(of))
    return {pair.attrib["name"]: pair.attrib["value"] for pair in root.findall("configuration/crm_config//nvpair")}


@pytest.mark.parametrize(("balancers", "policy"), [(1, "freeze"), (2, "stop")])
@pytest.mark.parametrize("standby", list(Standby))
def test_quorum_is_never_ignored(balancers: int, policy: str, standby: Standby) -> None:
    assert properties(topology(balancers=balancers, standby=standby))["no-quorum-policy"] == policy


@pytest.mark.parametrize("balancers", [1, 2])
@pytest.mark.parametrize("standby", list(Standby))
def test_identifiers_of_the_cib_are_unique(balancers: int, standby: Standby) -> None:
    root = ElementTree.fromstring(cib(topology(balancers=balancers, standby=standby)))
    found = [element.attrib["id"] for element in root.iter() if "id" in element.attrib]
    # Pacemaker's node numbers and its other identifiers are two spaces, but overlap nowhere.
    assert len(found) == len(set(found))


def test_hot_standby_runs_haproxy_everywhere_and_ties_the_address_to_it() -> None:
    root = ElementTree.fromstring(cib(topology()))
    assert root.find("configuration/resources/clone/primitive[@id='haproxy']") is not None
    tie = root.find("configuration/constraints/rsc_colocation")
    assert tie is not None
    assert (tie.get("rsc"), tie.get("with-rsc"), tie.get("score")) == ("floating-address", "haproxy-clone", "INFINITY")
    assert root.find("configuration/constraints/rsc_order[@first='haproxy-clone']") is not None


def test_cold_standby_runs_haproxy_with_the_address_alone() -> None:
    root = ElementTree.fromstring(cib(topology(standby=Standby.COLD)))
    group = root.find("configuration/resources/group")
    assert group is not None
    assert [element.get("id") for element in group] == ["haproxy", "floating-address"]
    assert root.find("configuration/resources/clone") is None


@pytest.mark.parametrize(("standby", "moved"), [(Standby.HOT, "floating-address"), (Standby.COLD, "api")])
def test_the_address_goes_where_pacemakers_leader_is(standby: Standby, moved: str) -> None:
    root = ElementTree.fromstring(cib(topology(standby=standby)))
    place = root.find("configuration/constraints/rsc_location")
    assert place is not None
    assert place.get("rsc") == moved
    rule, stickiness = place.find("rule"), root.find(".//nvpair[@name='resource-stickiness']")
    assert rule is not None
    assert stickiness is not None
    assert int(rule.get("score", "0")) > int(stickiness.get("value", "0"))


def test_one_balancer_has_no_leader_to_follow() -> None:
    assert b"#is_dc" not in cib(topology(balancers=1))


@pytest.mark.parametrize(("release", "schema"), [("trixie", "pacemaker-4.0"), ("bookworm", "pacemaker-3.2")])
def test_the_configuration_is_in_the_releases_own_schema(release: str, schema: str) -> None:
    root = ElementTree.fromstring(cib(topology(release=release)))
    assert root.get("validate-with") == schema


def test_the_lease_ends_before_anybody_can_take_over() -> None:
    unit = content(topology(), "lb2", "/etc/systemd/system/groundplane-lease.service")
    assert f"--length {LEASE} " in unit


@pytest.mark.parametrize("members", [2, 3])
def test_a_lease_minds_that_the_token_may_have_rested_at_every_other_member(members: int) -> None:
    assert timing.soonest_takeover(members) - LEASE >= members * timing.HOLD


def test_three_balancers_agree_among_themselves() -> None:
    """corosync.conf(5): with three nodes the consensus should take longer than the token."""
    three = topology(balancers=3)
    config = content(three, "lb1", "/etc/corosync/corosync.conf")
    assert timing.consensus(3) > timing.TOKEN
    assert f"consensus: {timing.consensus(3)}" in config
    assert "device {" not in config
    unit = content(three, "lb2", "/etc/systemd/system/groundplane-lease.service")
    assert f"--length {LEASE} " in unit


def test_somebody_may_be_in_the_middle_of_three_balancers() -> None:
    unit = content(topology(balancers=3), "lb2", f"/etc/systemd/system/{MIDDLE_UNIT}")
    assert f"{MIDDLE_PROGRAM} --port {timing.PORT} 1,lb1,10.80.0.11 3,lb3,10.80.0.13\n" in unit


@pytest.mark.parametrize("balancers", [1, 2])
def test_nobody_is_in_the_middle_of_fewer(balancers: int) -> None:
    of_one = state(topology(balancers=balancers), "lb1")
    assert MIDDLE_UNIT not in {unit.name for unit in of_one.units}
    assert MIDDLE_PROGRAM not in {file.path for file in of_one.files}


def test_the_agents_are_executable() -> None:
    modes = {file.path: file.mode for file in state(topology(), "lb1").files if "/ocf/" in file.path}
    assert modes == {
        "/usr/lib/ocf/resource.d/groundplane/floating-address": 0o755,
        "/usr/lib/ocf/resource.d/groundplane/haproxy": 0o755,
    }
