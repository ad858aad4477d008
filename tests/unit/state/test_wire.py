"""What goes over the wire comes out as it went in; anything else is refused."""

from __future__ import annotations

import json
from dataclasses import fields

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as some

from groundplane.state.change import Action, AgentFailed, Change, Done, Ended, Kind, Refused
from groundplane.state.model import (
    Address,
    Artifact,
    DataFolder,
    Directory,
    File,
    HostName,
    MachineState,
    Mount,
    Package,
    Symlink,
    Sysctl,
    Unit,
    User,
    Volume,
)
from groundplane.state.wire import Event, WireError, event_from_line, event_to_line, state_from_bytes, state_to_bytes

steady = settings(derandomize=True, deadline=None, max_examples=60, suppress_health_check=[HealthCheck.too_slow])

KINDS = (Address, File, Directory, Package, Unit, Sysctl, Artifact, DataFolder, Mount, User, Symlink, Volume, HostName)

states = some.builds(
    MachineState,
    machine=some.text(),
    files=some.lists(some.from_type(File), max_size=3).map(tuple),
    directories=some.lists(some.from_type(Directory), max_size=3).map(tuple),
    packages=some.lists(some.from_type(Package), max_size=3).map(tuple),
    units=some.lists(some.from_type(Unit), max_size=3).map(tuple),
    sysctls=some.lists(some.from_type(Sysctl), max_size=3).map(tuple),
    addresses=some.lists(some.from_type(Address), max_size=3).map(tuple),
    host_names=some.lists(some.from_type(HostName), max_size=1).map(tuple),
    artifacts=some.lists(some.from_type(Artifact), max_size=3).map(tuple),
    data_folders=some.lists(some.from_type(DataFolder), max_size=3).map(tuple),
    mounts=some.lists(some.from_type(Mount), max_size=3).map(tuple),
    users=some.lists(some.from_type(User), max_size=3).map(tuple),
    links=some.lists(some.from_type(Symlink), max_size=3).map(tuple),
    volumes=some.lists(some.from_type(Volume), max_size=3).map(tuple),
)
finite = some.floats(allow_nan=False, allow_infinity=False)
change = some.builds(
    Change,
    kind=some.sampled_from(Kind),
    key=some.text(),
    action=some.sampled_from(Action),
    why=some.text(),
    diff=some.text(),
    since=some.none() | finite,
)
events = some.one_of(
    change,
    some.builds(Refused, change=change, problem=some.text(), hint=some.text(), detail=some.text()),
    some.builds(Done, change=change, seconds=finite, problem=some.text(), hint=some.text(), detail=some.text()),
    some.builds(AgentFailed, problem=some.text(), hint=some.text(), detail=some.text()),
    some.builds(Ended, changes=some.integers()),
)


@steady
@given(states)
def test_a_state_comes_out_as_it_went_in(state: MachineState) -> None:
    assert state_from_bytes(state_to_bytes(state)) == state


@steady
@given(events)
def test_an_event_comes_out_as_it_went_in_on_one_line(event: Event) -> None:
    line = event_to_line(event)
    assert b"\n" not in line
    assert event_from_line(line) == event


def test_every_resource_of_the_vocabulary_travels() -> None:
    annotations = {str(part.type) for part in fields(MachineState)}
    assert annotations == {"str", *(f"tuple[{kind.__name__}, ...]" for kind in KINDS)}


def spoiled(**changed: object) -> bytes:
    """A request of one file, with some of the file's keys changed (None: left out)."""
    document = json.loads(state_to_bytes(MachineState("m", files=(File("/a", b"1"),))))
    file = document["state"]["files"][0]
    document["state"]["files"] = [{key: value for key, value in (file | changed).items() if value is not None}]
    return json.dumps(document).encode()


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"{", "no JSON"),
        (b"[]", "list, not dict"),
        (b'{"version": 2, "state": {}}', "version 2, not 1"),
        (spoiled(colour="red"), "colour"),
        (spoiled(owner=None), "not check, content"),
        (spoiled(mode="0644"), "str, not int"),
        (spoiled(mode=True), "bool, not int"),
        (spoiled(secret=1), "int, not bool"),
        (spoiled(content="*"), "no base64"),
        (spoiled(content="MQ"), "no base64"),
        (spoiled(check="sh"), "str, not list"),
    ],
)
def test_anything_else_is_refused(data: bytes, words: str) -> None:
    with pytest.raises(WireError, match=words):
        state_from_bytes(data)


def test_an_unknown_event_kind_or_action_is_refused() -> None:
    line = event_to_line(Change(Kind.FILE, "/a", Action.CREATE, "absent")).decode()
    for old, new in (('"Change"', '"Chance"'), ('"file"', '"folder"'), ('"create"', '"invent"')):
        with pytest.raises(WireError, match=f"there is no .* {new[1:-1]}"):
            event_from_line(line.replace(old, new).encode())
