"""Files that can't be read, and files made to do harm."""

from __future__ import annotations

import tracemalloc
from collections.abc import Iterator
from pathlib import Path
from time import process_time
from typing import Any

import pytest

from groundplane.errors import SpecError
from groundplane.spec import ClusterSpec, InvalidCluster, Problem, annotate, document, load, loading
from groundplane.spec.addressing import Addressing, lay_out_addresses
from groundplane.spec.draft import Draft
from groundplane.spec.remedy import Fault
from groundplane.spec.rules import broken, machines


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
    "repeated": crowd(4700, "{{name: a{}, role: worker}}") + b"name: a\nname: b\nname: c\n",
}


@pytest.mark.parametrize("raw", [pytest.param(raw, id=name) for name, raw in CROWDS.items()])
def test_a_crowd_is_looked_at_a_few_times(raw: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    """Time is what looking costs; it is counted here in values and machines, for clocks differ."""
    looked = 0

    def counting(draft: Draft, *others: Any) -> Iterator[Fault]:
        nonlocal looked
        looked += len(draft.document.marks) + len(draft.machines)
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
