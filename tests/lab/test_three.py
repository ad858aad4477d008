"""Three machines that are everything at once: built, broken in every way there is, and each of them made anew."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from tests.lab import host
from tests.lab.conftest import ROOT, Platform
from tests.lab.test_come_and_go import members

pytestmark = [pytest.mark.lab, pytest.mark.long, pytest.mark.timeout(7200)]

SERVERS = ("server1", "server2", "server3")


@pytest.fixture(scope="module")
def three(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Platform]:
    """The example, up. `make long` runs these by themselves: alone on the computer."""
    folder = tmp_path_factory.mktemp("three")
    here = Platform(folder / "cluster.yaml", folder / "state", host.take())
    here.file.write_text((ROOT / "examples" / "three.yaml").read_text())
    try:
        here.run("up")
        yield here
    finally:
        here.run("down", "--yes")


def test_nothing_differs_and_every_check_holds(three: Platform) -> None:
    three.nothing_differs()
    assert three.json("verify")["ok"]


def test_each_is_made_anew(three: Platform) -> None:
    for name in SERVERS:
        three.run("replace", "--yes", name)
        three.nothing_differs()
    assert members(three, SERVERS[0]) == list(SERVERS)


def test_every_drill_that_can_be_done_here_mends_what_it_broke_and_loses_nothing(three: Platform) -> None:
    done = three.run("drill", "all", "--json", check=False, timeout=7000)
    if not done.stdout:
        three.fail(done.stderr)
    suite = json.loads(done.stdout)
    assert suite["stopped"] == "", suite["stopped"]
    assert len(suite["drills"]) > 15
    for report in suite["drills"]:
        assert report["lost_writes"] == 0, report["name"]
        assert not report["double_address"], report["name"]
        assert report["healed_seconds"] is not None, report["name"]
        assert all(check["ok"] for check in report["checks"]), report["name"]
    three.nothing_differs()
