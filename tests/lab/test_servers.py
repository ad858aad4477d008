"""What HAProxy's next worker is told of its servers, with a `socat` that answers for the one before it."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from groundplane.components.haproxy.fragment import SCRIPT, SERVERS
from groundplane.design import design
from tests.golden.laid_out import cases

pytestmark = pytest.mark.lab

HEAD = "1\n# be_id be_name srv_id srv_name srv_addr …\n"
KNOWN = (
    "3 kube-apiserver 1 cp1 10.80.0.21 2 0 1 1 358 15 3 3 6 0 0 0 - 6443 - 0 0 - - 0\n"
    "3 kube-apiserver 2 cp2 10.80.0.22 0 0 1 1 60 15 2 0 6 0 0 0 - 6443 - 0 0 - - 0\n"
)
NEW = "0 kube-apiserver 0 cp3 10.80.0.23 0 0 1 1 0 1 0 0 6 0 0 0 - 6443 - 0 0 - - 0\n"


def told(folder: Path, answer: str) -> str | None:
    """What the script leaves for the next worker; None: nothing, so that finds out by itself."""
    lb1 = next(state for state in design(cases()["lab"]).states if state.machine == "lb1")
    script = next(file.content.decode() for file in lb1.files if file.path == SCRIPT)
    servers = folder / "servers"
    servers.write_text("of an earlier reload\n")
    (folder / "answer").write_text(answer)
    (folder / "socat").write_text(f"#!/bin/sh\ncat {folder}/answer\n")
    (folder / "socat").chmod(0o755)
    environment = {**os.environ, "PATH": f"{folder}:{os.environ['PATH']}"}
    done = subprocess.run(["sh", "-c", script.replace(SERVERS, str(servers))], env=environment, check=False, timeout=20)
    assert (done.returncode == 0) is servers.exists()
    return servers.read_text() if servers.exists() else None


def test_who_is_up_stays_up_and_who_is_new_is_down_until_checked(tmp_path: Path) -> None:
    assert told(tmp_path, f"{HEAD}{KNOWN}\n") == HEAD + KNOWN + NEW
    assert told(tmp_path, f"{HEAD}{KNOWN}{NEW}\n") == HEAD + KNOWN + NEW


@pytest.mark.parametrize("answer", ["", HEAD + KNOWN, HEAD + KNOWN[:100]])
def test_nobody_is_told_what_was_so_earlier_or_half_of_it(tmp_path: Path, answer: str) -> None:
    assert told(tmp_path, answer) is None
