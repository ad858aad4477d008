from __future__ import annotations

import json
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest

from groundplane.errors import ConditionTimeout, MachineError, Unreachable
from groundplane.machines.lab.readiness import wait_ready
from groundplane.state.step import Completed
from groundplane.transport.fake import FakeTransport
from groundplane.transport.nspawn import Leader

Run = Callable[[Coroutine[Any, Any, str]], str]
ASKS = ("systemctl", "is-system-running")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    root = tmp_path / "42/root"
    (root / "run/systemd").mkdir(parents=True)
    (root / "run/systemd/private").touch()
    (root / "run/cloud-init").mkdir()
    return root


def finish(root: Path, *errors: str) -> None:
    result = {"v1": {"datasource": "DataSourceNoCloud", "errors": list(errors)}}
    (root / "run/cloud-init/result.json").write_text(json.dumps(result))


def ready(fake: FakeTransport, tmp_path: Path, *, strict: bool = True) -> Coroutine[Any, Any, str]:
    return wait_ready("cp1", lambda: Leader(42, 1), fake, deadline=30, strict=strict, proc=tmp_path)


def test_running_and_done_is_ready(virtual_time: Run, root: Path, tmp_path: Path) -> None:
    finish(root)
    fake = FakeTransport()
    fake.in_turn("cp1", *ASKS, answers=[Unreachable("booting"), Completed(0, b"running\n", b"")])
    assert virtual_time(ready(fake, tmp_path)) == "running"


def test_told_not_to_run_is_ready_too(virtual_time: Run, root: Path, tmp_path: Path) -> None:
    (root / "run/cloud-init/disabled").touch()
    fake = FakeTransport()
    fake.on("cp1", *ASKS, answers="running")
    assert virtual_time(ready(fake, tmp_path)) == "running"


def test_cloud_inits_errors_are_told(virtual_time: Run, root: Path, tmp_path: Path) -> None:
    finish(root, "('scripts_user', RuntimeError('Runparts: 1 failures'))")
    fake = FakeTransport()
    fake.on("cp1", *ASKS, answers="running")
    fake.on("cp1", "tail", answers="+ false")
    with pytest.raises(MachineError, match="cloud-init") as caught:
        virtual_time(ready(fake, tmp_path))
    assert "Runparts" in caught.value.detail
    assert "+ false" in caught.value.detail


def test_failed_units_are_told_with_their_journal(virtual_time: Run, root: Path, tmp_path: Path) -> None:
    finish(root)
    fake = FakeTransport()
    fake.on("cp1", *ASKS, answers="degraded", status=1)
    fake.on("cp1", "systemctl", "list-units", answers="haproxy.service loaded failed failed HAProxy\n")
    fake.on("cp1", "journalctl", answers="no such backend")
    with pytest.raises(MachineError, match=r"haproxy\.service") as caught:
        virtual_time(ready(fake, tmp_path))
    assert "no such backend" in caught.value.detail
    assert virtual_time(ready(fake, tmp_path, strict=False)) == "degraded"


def test_a_first_boot_that_never_ends_is_told_with_its_jobs(virtual_time: Run, root: Path, tmp_path: Path) -> None:
    fake = FakeTransport()
    fake.on("cp1", *ASKS, answers="running")
    fake.on("cp1", "systemctl", "list-jobs", answers="cloud-final.service start running")
    with pytest.raises(ConditionTimeout) as caught:
        virtual_time(ready(fake, tmp_path))
    assert "cloud-init isn't done" in caught.value.detail
    assert "cloud-final.service" in caught.value.detail


def test_a_machine_that_is_off_is_not_ready(virtual_time: Run, tmp_path: Path) -> None:
    fake = FakeTransport()
    fake.on("cp1", "systemctl", raises=Unreachable("off"))
    with pytest.raises(ConditionTimeout) as caught:
        virtual_time(wait_ready("cp1", lambda: None, fake, deadline=5, strict=True, proc=tmp_path))
    assert "it isn't running" in caught.value.detail


def test_a_machine_that_goes_off_while_booting_is_not_waited_for(virtual_time: Run, tmp_path: Path) -> None:
    waiting = wait_ready(
        "cp1", lambda: None, FakeTransport(), deadline=300, strict=True, alive=lambda: False, proc=tmp_path
    )
    with pytest.raises(MachineError, match="went off while booting"):
        virtual_time(waiting)


def test_a_machine_that_goes_off_at_the_very_end_is_told_so(virtual_time: Run, root: Path, tmp_path: Path) -> None:
    finish(root)
    fake = FakeTransport()
    fake.on("cp1", *ASKS, answers="running")
    seen = iter([Leader(42, 1)])
    with pytest.raises(MachineError, match="went off while booting"):
        virtual_time(wait_ready("cp1", lambda: next(seen, None), fake, deadline=30, strict=True, proc=tmp_path))
