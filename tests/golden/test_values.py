"""What the file says arrives as it says it: in every file, for readers of either YAML, and on no line of its own."""

from __future__ import annotations

import json
from functools import cache

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from ruamel.yaml import YAML

from groundplane.spec import ClusterSpec, InvalidCluster, load
from groundplane.topology import Machine, Topology, lay_out
from groundplane.topology.secrets_json import secrets_from_json
from tests.golden import trees
from tests.golden.laid_out import HOSTILE, NEW_HOST, SECRETS, hostile


def texts(node: object) -> list[object]:
    """Every scalar of a document."""
    if isinstance(node, dict):
        return [text for pair in node.items() for part in pair for text in texts(part)]
    return [text for part in node for text in texts(part)] if isinstance(node, list) else [node]


def expected(topology: Topology, machine: Machine) -> dict[str, list[str]]:
    """What each of a machine's YAML files must hold as text."""
    found = {"seed/meta-data": [machine.name], "seed/user-data": [machine.name, machine.fqdn]}
    found["seed/network-config"] = [machine.mac]
    if machine.is_node:
        found["root/etc/groundplane/kubeadm/join.yaml"] = [machine.name]
    if machine in topology.control_planes:
        cluster = [topology.name, topology.api_host, f"{topology.api_host}:6443"]
        found["root/etc/groundplane/kubeadm/init.yaml"] = [machine.name, *cluster]
    return found


@pytest.mark.parametrize("version", [(1, 1), (1, 2)])
def test_hostile_names_stay_text_for_either_yaml(version: tuple[int, int]) -> None:
    topology = hostile()
    tree = trees.rendered(topology)
    for machine in topology.machines:
        for path, wanted in expected(topology, machine).items():
            yaml = YAML(typ="safe", pure=True)
            yaml.version = version
            documents = yaml.load_all(tree[f"{machine.name}/{path}"].decode())
            found = [text for document in documents for text in texts(document)]
            assert [text for text in wanted if text not in found] == [], (machine.name, path)


# Every key that takes a text, with one that it may have and a place in it for another.
PLACES = (
    ("name", "a{}"),
    ("network.domain", "a{}.example"),
    ("network.lan", "10.80.0.0{}/24"),
    ("network.floating-address", "10.80.0.9{}"),
    ("network.ipv6", "fd00:80::{}/64"),
    ("network.uplink.address", "192.0.2.2{}/24"),
    ("network.uplink.router", "192.0.2.1{}"),
    ("network.uplink.nameservers", "192.0.2.53{}"),
    ("image.release", "trixie{}"),
    ("image.mirror", "http://a.example/{}"),
    ("kubernetes.version", "1.37.2{}"),
    ("kubernetes.pods", "10.244.0.0{}/16"),
    ("kubernetes.services", "10.96.0.0{}/16"),
    ("machines.name", "w{}"),
    ("machines.mac", "52:54:00:00:00:0{}"),
    ("machines.address", "10.80.0.9{}"),
    ("sizes.worker.memory", "2{}GiB"),
)
PIECES = st.lists(
    st.sampled_from(
        ["\n", "\r", "\x0b", "\x85", "\u2028", "\0", "\t", " ", "#", ";", "%", "%eth0", "%\nserver=6.6.6.6\n# "]
    )
    | st.sampled_from(['"', "'", "\\", "{", "}", "[", "$(id)", "`", ",", ":", "/", "\xa0", "a", "1"])
    | st.characters(),
    max_size=3,
).map("".join)


def written(key: str, value: str) -> bytes:
    """A file in which ``value`` stands at ``key``; those of machines belong to its worker."""
    worker: dict[str, object] = {"name": "w1", "role": "worker"}
    roles = (("gw", "gateway"), ("lb", "balancer"), ("cp", "control-plane"))
    whole: dict[str, object] = {
        "name": "lab",
        "balancers": {"accept-single-point-of-failure": True},
        "network": {"uplink": {"address": "192.0.2.2/24", "router": "192.0.2.1", "nameservers": ["192.0.2.53"]}},
        "machines": [*({"name": name, "role": role} for name, role in roles), worker],
    }
    *stanzas, last = key.split(".")
    holder = whole if stanzas != ["machines"] else worker
    for stanza in stanzas if stanzas != ["machines"] else ():
        inner = holder.setdefault(stanza, {})
        assert isinstance(inner, dict)
        holder = inner
    holder[last] = [value] if last == "nameservers" else value
    return json.dumps(whole).encode()


def lines(spec: ClusterSpec) -> list[int]:
    """How many lines each file has, whatever it is called."""
    topology: Topology = lay_out(spec, secrets_from_json(SECRETS.read_bytes()), NEW_HOST)
    breaks = ("\r", "\x0b", "\x0c", "\x85", "\u2028", "\u2029")
    tree = {path: content.decode(errors="replace") for path, content in trees.rendered(topology).items()}
    return sorted(text.count("\n") + sum(map(text.count, breaks)) for text in tree.values())


@cache
def usual(key: str, plain: str) -> list[int]:
    return lines(load(written(key, plain), name="cluster.yaml", versions=("1.37.2",)))


@given(st.sampled_from(PLACES), PIECES)
@settings(derandomize=True, deadline=None, max_examples=150, suppress_health_check=[HealthCheck.too_slow])
def test_no_value_begins_a_line_of_its_own(place: tuple[str, str], piece: str) -> None:
    key, form = place
    try:
        spec = load(written(key, form.format(piece)), name="cluster.yaml", versions=("1.37.2",))
    except InvalidCluster:
        return
    assert lines(spec) == usual(key, form.format("1" if key == "machines.mac" else ""))


@pytest.mark.parametrize("key", [key for key, _ in PLACES])
@pytest.mark.parametrize("piece", ["\n", "%\nserver=6.6.6.6\n# ", "\u2028", "\x07"])
def test_no_value_may_hold_a_break(key: str, piece: str) -> None:
    with pytest.raises(InvalidCluster):
        load(written(key, dict(PLACES)[key].format(piece)), name="cluster.yaml", versions=("1.37.2",))


def test_the_hostile_file_is_what_it_says() -> None:
    assert {"on", "no", "y", "1e3", "null", "0x1f", "true"} <= {machine.name for machine in hostile().machines}
    assert HOSTILE.is_file()
