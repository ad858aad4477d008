"""What holds for any cluster file, valid or not."""

from __future__ import annotations

import json

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from groundplane.spec import ClusterSpec, InvalidCluster, annotate, load

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


@given(st.binary(max_size=200) | st.text(max_size=200).map(lambda text: text.encode(errors="surrogatepass")))
@steady
def test_anything_is_explained(raw: bytes) -> None:
    assert read_or_explain(raw) is None


@given(st.dictionaries(st.sampled_from(["network", "machines", "sizes", "image", "kubernetes", "name", "nam"]), values))
@steady
def test_any_values_are_explained(cluster: dict[str, object]) -> None:
    read_or_explain(written(cluster))
