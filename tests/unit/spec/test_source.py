"""Files that can't be read, and files made to do harm."""

from __future__ import annotations

import tracemalloc
from collections.abc import Iterator
from ipaddress import IPv4Network, IPv6Network, ip_network
from pathlib import Path
from time import process_time
from typing import Any

import pytest
from ruamel.yaml import YAML

from groundplane.errors import SpecError
from groundplane.spec import ClusterSpec, InvalidCluster, Problem, annotate, document, load, loading, peers
from groundplane.spec.addressing import Addressing, lay_out_addresses, roster
from groundplane.spec.draft import Draft
from groundplane.spec.problem import MOST
from groundplane.spec.remedy import Fault
from groundplane.spec.rules import broken, machines
from groundplane.spec.scanner import LONGEST_TAG, scanner


def refused(source: Path | bytes) -> Problem:
    with pytest.raises(InvalidCluster) as caught:
        load(source, name="cluster.yaml", versions=("1.37.2",))
    assert isinstance(caught.value, SpecError)
    assert annotate(caught.value)
    return caught.value.problems[0]


def test_missing(tmp_path: Path) -> None:
    problem = refused(tmp_path / "none.yaml")
    assert "no such file" in problem.message
    assert "groundplane explain" in problem.instead
    assert problem.line == 0


def test_directory(tmp_path: Path) -> None:
    assert "directory" in refused(tmp_path).message


def test_unreadable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def denied(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "open", denied)
    assert "permission denied" in refused(tmp_path / "cluster.yaml").message


def test_loop_of_links(tmp_path: Path) -> None:
    link = tmp_path / "cluster.yaml"
    link.symlink_to(link)
    assert "ELOOP" in refused(link).message


def test_no_path() -> None:
    assert "not a path" in refused(Path("a\0b")).message


def test_too_large(tmp_path: Path) -> None:
    path = tmp_path / "cluster.yaml"
    path.write_bytes(b"name: lab\n" + b"#" * 2**20)
    assert "1 MiB" in refused(path).message
    assert "lines" in refused(b"\n" * 60_000).message


@pytest.mark.parametrize(
    ("raw", "place", "offset"),
    [
        (b"name: lab\n# caf\xe9\n", (2, 6), 15),
        ("# ü\n".encode() + b"name: \xff\n", (2, 7), 11),
        (b"\xef\xbb\xbfname: \xff\n", (1, 7), 9),
        ("name: lab\n".encode("utf-16"), (1, 1), 0),
    ],
)
def test_not_utf_8(raw: bytes, place: tuple[int, int], offset: int) -> None:
    problem = refused(raw)
    assert "not UTF-8" in problem.message
    assert f"offset {offset}" in problem.message
    assert problem.line == place[0]


def test_byte_order_mark_and_windows_lines_are_read() -> None:
    spec = load(b"\xef\xbb\xbfname: lab\r\nprovider: lab\r\n", name="cluster.yaml", versions=("1.37.2",))
    assert spec.name == "lab"


def bomb() -> bytes:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 12)]
    return "\n".join(["name: lab", *lines]).encode()


@pytest.mark.parametrize(
    "raw",
    [
        pytest.param(bomb(), id="billion laughs"),
        pytest.param(b"a: " + b"[" * 500_000, id="brackets"),
        pytest.param(b"a: " + b"{a: " * 200_000, id="braces"),
        pytest.param(b"".join(b" " * n + b"a:\n" for n in range(700)), id="stairs"),
        pytest.param(b"- " * 300_000, id="dashes"),
        pytest.param(b"? " * 300_000, id="questions"),
        pytest.param(b"name: lab\na: &a [*a, *a]\n", id="recursion"),
        pytest.param(b"&a " * 300_000, id="anchors"),
        pytest.param(
            b"name: lab\nx: &a '" + b"a" * 30_000 + b"'\ny: [" + b"*a, " * 20_000 + b"1]\n", id="a text's aliases"
        ),
        pytest.param(b"x: &a {? " + b"a" * 30_000 + b" : 1}\ny: [" + b"*a, " * 20_000 + b"1]\n", id="a key's aliases"),
    ],
)
def test_bombs_are_refused_quickly_and_cheaply(raw: bytes) -> None:
    begin = process_time()
    refused(raw)
    # Our own processor time, so that a busy machine changes nothing; it takes less than a third of this.
    assert process_time() - begin < 3
    tracemalloc.start()
    try:
        refused(raw[: 2**16])
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 64 * 2**20


def test_many_values_are_refused() -> None:
    assert "24000 values" in refused(b"name: lab\na: [" + b"a," * 50_000 + b"]").message


def crowd(number: int, entry: str) -> bytes:
    return ("name: lab\nmachines:\n" + "".join(f"- {entry.format(n)}\n" for n in range(number))).encode()


FAULTY_SIZES = ", ".join(f"{role}: {{memory: 1MiB, cpus: 0.01}}" for role in ("gateway", "balancer", "worker"))
CROWDS = {
    "counted": b"name: lab\nmachines: {worker: 1000, control-plane: 2, balancer: 1}\n"
    b"network: {floating-address: 10.80.0.0, dhcp-pool: {first: 10.80.0.9, last: 10.80.0.1}}\n"
    + f"sizes: {{{FAULTY_SIZES}}}\nimage: {{mirror: x, release: y}}\n".encode(),
    "reserved": crowd(4700, "{{name: {}h, role: worker}}"),
    "digits": crowd(4700, '{{name: "{}", role: worker}}'),
    "gateways": crowd(4700, "{{name: a{}, role: gateway}}"),
    "roles": crowd(2600, "{{name: {}h, roles: [worker, control-plane, worker]}}"),
    "narrow": crowd(4700, "{{name: worker{}, role: worker}}") + b"network: {lan: 10.80.0.0/29}\n",
    "long": crowd(30, "{{name: w{}, role: Worker, mac: 5254.0000.0000, size: {{memory: 4gb}}}}")
    + b"provider: "
    + b"a" * 1_000_000
    + b"\n",
    "repeated": crowd(4700, "{{name: a{}, role: worker}}") + b"name: a\nname: b\nname: c\n",
}


@pytest.mark.parametrize("raw", [pytest.param(raw, id=name) for name, raw in CROWDS.items()])
def test_a_crowd_is_looked_at_a_few_times(raw: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    """Time is what looking costs; it is counted here in values, machines and characters, for clocks differ."""
    looked = 0

    def counting(draft: Draft, *others: Any) -> Iterator[Fault]:
        nonlocal looked
        looked += len(draft.document.marks) + len(draft.machines)
        looked += sum(len(mark.raw or "") for mark in draft.document.marks.values()) // document.CHARACTERS
        return broken(draft, *others)

    monkeypatch.setattr(loading, "broken", counting)
    refused(raw)
    assert 0 < looked < 2.2 * document.MAX_NODES


def test_a_narrow_range_is_widened_without_trying_all(monkeypatch: pytest.MonkeyPatch) -> None:
    laid_out = 0

    def counting(spec: ClusterSpec) -> Addressing:
        nonlocal laid_out
        laid_out += 1
        return lay_out_addresses(spec)

    monkeypatch.setattr(machines, "lay_out_addresses", counting)
    refused(CROWDS["narrow"])
    assert 0 < laid_out <= 4


def test_counted_machines_are_made_once_for_all_that_is_tried() -> None:
    spec = load(b"name: lab\nmachines: {worker: 4}\n", name="cluster.yaml", versions=("1.37.2",))
    assert roster(spec.model_copy(update={"name": "other"})) is roster(spec)


def test_the_first_ranges_of_a_peers_file_are_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    looked = 0

    def counting(text: str) -> IPv4Network | IPv6Network:
        nonlocal looked
        looked += 1
        return ip_network(text)

    monkeypatch.setattr(peers, "ip_network", counting)
    head = b"kind: Cluster\napiVersion: kind.x-k8s.io/v1alpha4\nnetworking: {podSubnet: "
    for ranges in (b"'" + b"x," * 10_000 + b"10.0.0.0/8'}", b"[" + b"x," * 10_000 + b"10.0.0.0/8]}"):
        looked = 0
        assert "kind" in refused(head + ranges).message
        assert 0 < looked <= MOST


def test_faults_are_looked_up_among_repeated_keys() -> None:
    """There may be thousands of either: comparing each with each would take seconds."""

    class Asked(frozenset[str]):
        def __iter__(self) -> Iterator[str]:
            raise AssertionError("all of them are looked at")

    places = Asked({"machines[1]", "network"})
    inside = [loading._is_at_or_below(path, places) for path in ("network", "network.lan", "machines[1].size.cpus")]
    outside = [loading._is_at_or_below(path, places) for path in ("networks", "name", "machines[11].name", "machines")]
    assert all(inside)
    assert not any(outside)


def test_no_more_of_a_tag_is_read_than_is_told() -> None:
    yaml = YAML(typ="safe", pure=True)
    yaml.Scanner = scanner()
    (tag,) = [event.tag for event in yaml.parse("!" + "a" * 5000 + " lab") if getattr(event, "tag", None)]
    assert len(tag) == len("!") + LONGEST_TAG
    assert "aaaaa…" in refused(b"name: !" + b"a" * 5000 + b" lab\n").message


@pytest.mark.parametrize(
    "raw",
    [
        pytest.param(b"[kube_node]\n" * 49_000, id="groups"),
        pytest.param(b"name: lab\nl: [" + b"!!str a," * 28_000 + b"]\n", id="tags"),
    ],
)
def test_what_is_of_another_form_is_refused_quickly(raw: bytes) -> None:
    begin = process_time()
    refused(raw)
    # Our own processor time; it takes less than a quarter of this.
    assert process_time() - begin < 1.2
