"""How the address leaves a balancer: the agent itself, with programs in place of those that look at a card."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from groundplane.components.pacemaker.fragment import LEASE_ARMED
from tests.unit.components.ha.platform import topology
from tests.unit.components.ha.test_fragments import content

pytestmark = pytest.mark.lab

AGENT = "/usr/lib/ocf/resource.d/groundplane/floating-address"
PATIENCE = 5
"""How often the agent looks for clients that wait."""


class Balancer:
    """A balancer that bears the address, with ``connections`` to it as ss(8) tells of them."""

    def __init__(self, folder: Path, connections: str) -> None:
        self.folder = folder
        self.lease = folder / "lease"
        self.lease.mkdir()
        (self.lease / "armed").touch()
        (folder / "ocf-directories").touch()
        (folder / "connections").write_text(connections)
        self._program("ip", f'echo "$*" >>{folder}/told; case $* in *show*) echo 10.80.0.10/32 ;; esac')
        self._program("ss", f"echo >>{folder}/asked; cat {folder}/connections")
        self.agent = folder / "agent"
        self.agent.write_text(content(topology(), "lb1", AGENT).replace(str(Path(LEASE_ARMED).parent), str(self.lease)))

    def _program(self, name: str, line: str) -> None:
        path = self.folder / name
        path.write_text(f"#!/bin/sh\n{line}\n")
        path.chmod(0o755)

    def act(self, action: str) -> int:
        """Have the agent do ``action``; return its status."""
        environment = {
            "PATH": f"{self.folder}:/usr/bin:/bin",
            "OCF_FUNCTIONS_DIR": str(self.folder),
            "OCF_RESKEY_ip": "10.80.0.10",
            "OCF_RESKEY_nic": "eth0",
        }
        return subprocess.run(["sh", self.agent, action], env=environment, check=False).returncode

    def stop(self) -> int:
        """Stop the address here; return how often the agent looked for clients that wait."""
        assert self.act("stop") == 0
        return len((self.folder / "asked").read_text().splitlines())


def connection(ages: str) -> str:
    return f"0 0 10.80.0.10:6443 10.80.0.51:42786 bbr wscale:10,10 {ages} pacing_rate 1bps\n"


@pytest.mark.parametrize(
    "ages",
    [
        "bytes_received:55085 lastsnd:12 lastrcv:2224",  # a watch that was told something
        "bytes_received:55085 lastsnd:4 lastrcv:8",  # a request just answered
        "bytes_received:55085 lastrcv:4",  # one answered this very moment: ss leaves out what is nought
        "bytes_received:55085 lastsnd:8632 lastrcv:400",  # a watch's window update
        "bytes_received:708 lastsnd:380 lastrcv:400",  # a client that keeps its connection for later
    ],
)
def test_the_address_leaves_at_once_when_no_client_waits(tmp_path: Path, ages: str) -> None:
    balancer = Balancer(tmp_path, connection(ages))
    assert balancer.stop() == 1
    assert "address delete 10.80.0.10/32 dev eth0" in (tmp_path / "told").read_text()
    assert list(balancer.lease.iterdir()) == []


@pytest.mark.parametrize(
    "ages",
    [
        "bytes_received:55085 lastsnd:52 lastrcv:32",  # a request not answered yet
        "bytes_received:55085 lastsnd:400",  # one that came this very moment
        "lastsnd:8 lastrcv:8",  # a connection just made
        "bytes_received:708 lastsnd:4 lastrcv:8",  # a first request, and no more than a session's ticket so far
    ],
)
def test_a_client_that_waits_is_waited_for_but_not_for_ever(tmp_path: Path, ages: str) -> None:
    balancer = Balancer(tmp_path, connection("bytes_received:55085 lastsnd:12 lastrcv:2224") + connection(ages))
    assert balancer.stop() == PATIENCE
    assert "address delete 10.80.0.10/32 dev eth0" in (tmp_path / "told").read_text()
    assert list(balancer.lease.iterdir()) == []


def test_what_the_keeper_took_is_not_pacemakers_before_it_is_started(tmp_path: Path) -> None:
    balancer = Balancer(tmp_path, "")
    (balancer.lease / "armed").unlink()
    assert balancer.act("monitor") == 1, "an address without a lease has failed"
    (balancer.lease / "taken").touch()
    assert balancer.act("monitor") == 7, "OCF_NOT_RUNNING: Pacemaker may start it"
    assert balancer.act("start") == 0
    assert balancer.act("monitor") == 0
    assert balancer.stop() == 1
    assert list(balancer.lease.iterdir()) == [], "nobody holds on to it"
