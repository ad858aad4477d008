"""What holds for any cluster file, valid or not."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from ruamel.yaml import YAML

from groundplane.spec import ClusterSpec, InvalidCluster, annotate, explain, load
from groundplane.spec.keys import accepts

from .strategies import clusters, written

VERSIONS = ("1.37.2",)
steady = settings(derandomize=True, deadline=None, max_examples=60, suppress_health_check=[HealthCheck.too_slow])


def read(raw: bytes) -> ClusterSpec:
    return load(raw, name="cluster.yaml", versions=VERSIONS)


def read_or_explain(raw: bytes) -> ClusterSpec | None:
    """Nothing but InvalidCluster may come out, with places that exist and words to go with them."""
    try:
        return read(raw)
    except InvalidCluster as error:
        _is_helpful(error)
        return None


def _is_helpful(error: InvalidCluster) -> None:
    assert error.problems
    assert list(error.problems) == sorted(error.problems)
    lines = error.text.count("\n") + 1
    for problem in error.problems:
        assert 0 <= problem.line <= lines
        assert problem.message
        assert problem.instead
    assert all(line.isprintable() for line in annotate(error).split("\n"))
    annotate(error).encode()


@given(clusters)
@steady
def test_valid_files_load_and_come_back(cluster: dict[str, object]) -> None:
    spec = read(written(cluster))
    again = spec.model_dump_json(by_alias=True, exclude_none=True)
    assert read(again.encode()) == spec


@given(clusters, st.data())
@steady
def test_spoilt_text_is_explained(cluster: dict[str, object], data: st.DataObject) -> None:
    raw = bytearray(written(cluster))
    for _ in range(data.draw(st.integers(1, 4))):
        place = data.draw(st.integers(0, len(raw) - 1))
        piece = data.draw(
            st.one_of(st.binary(max_size=4), st.sampled_from([b"\n", b"\t", b": ", b"*a", b"&a ", b"!x ", b"- "]))
        )
        raw[place : place + data.draw(st.integers(0, 3))] = piece
    read_or_explain(bytes(raw))


values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=8)
    | st.sampled_from(["10.0.0.0/8", "::/0", "1e3"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)


@given(clusters, st.data())
@steady
def test_spoilt_values_are_explained(cluster: dict[str, object], data: st.DataObject) -> None:
    """Any value of the file replaced by anything."""
    whole = json.loads(json.dumps(cluster))
    holder = whole
    while True:
        key = data.draw(st.sampled_from(list(holder) if isinstance(holder, dict) else range(len(holder))))
        inner = holder[key]
        if not isinstance(inner, (dict, list)) or not inner or data.draw(st.booleans()):
            break
        holder = inner
    holder[key] = data.draw(values)
    read_or_explain(written(whole))


# Every key of the file has a value here that fits all others.
COUNTED = """
name: lab
network:
  floating-address: 10.80.0.10
  dhcp-pool: {first: 10.80.0.100, last: 10.80.0.254}
  ipv6: fd00:80::/64
  uplink: {address: 192.0.2.2/24, router: 192.0.2.1, nameservers: [192.0.2.3]}
balancers: {accept-single-point-of-failure: true}
image: {mirror: http://mirror.example/debian}
"""
LISTED = """
name: lab
balancers: {accept-single-point-of-failure: true}
machines:
- {name: gw, role: gateway}
- {name: lb, role: balancer}
- {name: cp, role: control-plane}
- {name: w, role: worker, mac: 52:54:00:12:34:50, address: 10.80.0.9, size: {cpus: 1, memory: 2GiB}}
"""
PLACES = [key.path for key in explain() if not key.kind.words.startswith(("a stanza", "a list"))]
SPOILT = (
    st.integers(-3, 3000)
    | st.integers(0, 12).map(str)
    | st.floats(allow_nan=False).map(lambda number: round(number, 2))
    | st.sampled_from(
        [
            "yes",
            "off",
            "true",
            "3G",
            "2048mb",
            "2gib",
            "My_Lab",
            "-a-.B",
            "a..b",
            "52-54-00-12-34-56",
            "1_2",
            "1.",
            "x::y",
        ]
    )
    | st.sampled_from(["172.20.1.0/16", "fd00:80::1/64", "warm", "Worker", "v1.37.2"])
    | st.text(max_size=6)
)
_LITERAL = re.compile(r"(?:^write|such as|^did you mean|^add) (?:`[a-z-]+: (.+)`|'(.+)'\?|(\S+))$")


def _holder(whole: dict[str, Any], path: str) -> tuple[Any, str | int]:
    """What holds the value at a key's path, and under which name; stanzas on the way are made."""
    *before, last = path.split(".")
    holder: Any = whole
    for part in before:
        holder = holder[part.removesuffix("[]")][-1] if part.endswith("[]") else holder.setdefault(part, {})
    return (holder.setdefault(last[:-2], []), -1) if last.endswith("[]") else (holder, last)


@given(st.sampled_from(PLACES), SPOILT)
@settings(steady, max_examples=300)
def test_every_value_that_is_suggested_is_accepted(path: str, value: object) -> None:
    yaml = YAML(typ="safe", pure=True)
    whole = yaml.load(LISTED if "machines[]" in path else COUNTED)
    holder, name = _holder(whole, path)
    holder[name] = value
    for instead, at in _instead(whole):
        if general(at) != path or (match := _LITERAL.search(instead)) is None:
            continue
        holder[name] = yaml.load(next(filter(None, match.groups())))
        assert path not in [general(at) for _, at in _instead(whole)], (value, instead)


def _instead(whole: object) -> list[tuple[str, str]]:
    try:
        read(written(whole))
    except InvalidCluster as error:
        return [(problem.instead, problem.path) for problem in error.problems]
    return []


def general(path: str) -> str:
    return re.sub(r"\[\d+\]", "[]", path)


@pytest.mark.parametrize("text", [COUNTED, LISTED])
def test_the_files_that_are_spoilt_are_valid(text: str) -> None:
    assert read(text.encode()).name == "lab"


def test_every_example_is_right_where_it_is_given() -> None:
    for key in explain():
        if key.path in PLACES:
            assert accepts(_numbered(key.path), key.kind.example), key


def _numbered(path: str) -> tuple[str | int, ...]:
    parts: list[str | int] = []
    for part in path.split("."):
        parts += [part.removesuffix("[]"), *([0] if part.endswith("[]") else [])]
    return tuple(parts)


@given(st.binary(max_size=200) | st.text(max_size=200).map(lambda text: text.encode(errors="surrogatepass")))
@steady
def test_anything_is_explained(raw: bytes) -> None:
    assert read_or_explain(raw) is None


@given(st.dictionaries(st.sampled_from(["network", "machines", "sizes", "image", "kubernetes", "name", "nam"]), values))
@steady
def test_any_values_are_explained(cluster: dict[str, object]) -> None:
    read_or_explain(written(cluster))
