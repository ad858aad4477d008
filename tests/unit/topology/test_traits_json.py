from __future__ import annotations

import json
from dataclasses import asdict

import pytest

from groundplane.errors import StoreError
from groundplane.topology.model import Traits
from groundplane.topology.traits_json import traits_from_json, traits_to_json

TRAITS = Traits(cgroup_version=1, own_clock=False, lowers_oom_score=False)


def nobody_looks() -> Traits:
    raise AssertionError("everything is remembered")


def test_traits_come_back_without_a_look() -> None:
    assert traits_from_json(traits_to_json(TRAITS), nobody_looks) == TRAITS


def test_what_an_older_groundplane_did_not_know_is_looked_up() -> None:
    known = {name: value for name, value in asdict(TRAITS).items() if name != "own_disk"}
    found = traits_from_json(json.dumps(known).encode(), lambda: Traits(own_disk=False))
    assert found == Traits(cgroup_version=1, own_clock=False, own_disk=False, lowers_oom_score=False)


@pytest.mark.parametrize(
    ("raw", "words"),
    [
        (b"", "damaged"),
        (b"[]", "damaged"),
        (b'{"cgroup_version": true}', "damaged"),
        (b'{"own_clock": 1}', "damaged"),
        (b'{"watchdog": true}', "doesn't know: watchdog"),
    ],
)
def test_what_is_not_understood_is_refused(raw: bytes, words: str) -> None:
    with pytest.raises(StoreError, match=words):
        traits_from_json(raw, Traits)
