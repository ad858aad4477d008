"""One real platform, built once and shared by the tests that look at it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, NoReturn

import pytest

from tests.lab import host

ROOT = Path(__file__).parents[2]
EXAMPLE = ROOT / "examples" / "lab.yaml"

BALANCER: Final = "crm_mon --one-shot; echo 'show servers state' | socat - /run/haproxy/admin.sock; journalctl -n 30"
CONTROL_PLANE: Final = """
cat /run/groundplane/kubeadm.log
kubectl --kubeconfig=/etc/kubernetes/admin.conf --server=https://127.0.0.1:6443 get --raw='/readyz?verbose' 2>&1
tail --quiet --lines=30 /var/log/pods/kube-system_*/*/*.log
journalctl -u kubelet -n 30
"""
EVIDENCE: Final = {"lb1": BALANCER, "lb2": BALANCER, "cp1": CONTROL_PLANE}


@dataclass(frozen=True, slots=True)
class Platform:
    """The command line of groundplane, for one file and one state folder."""

    file: Path
    state: Path
    before: host.Picture

    @property
    def name(self) -> str:
        """The platform's, as its file says."""
        return next(line.split()[1] for line in self.file.read_text().splitlines() if line.startswith("name:"))

    def command(self, *words: str) -> list[str]:
        """``words`` after the sub-command go before any ``--``."""
        name, *rest = words
        return [
            sys.executable, "-m", "groundplane", name,
            "--file", str(self.file), "--state-dir", str(self.state), *rest,
        ]  # fmt: skip

    def run(self, *words: str, check: bool = True, timeout: float = 900) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            self.command(*words), capture_output=True, text=True, timeout=timeout, env=environment(), check=False
        )
        if check and done.returncode != 0:
            self.fail(f"{' '.join(words)} ended with {done.returncode}\n{done.stdout}\n{done.stderr}")
        return done

    def fail(self, words: str) -> NoReturn:
        """Fail with ``words`` and what the machines have to say: they are gone when somebody reads it."""
        said = [words]
        for machine, script in EVIDENCE.items():
            try:
                answer = self.run("ssh", machine, "--", "sh", "-c", script, check=False, timeout=60)
                said.append(f"-- {machine}\n{answer.stdout}{answer.stderr}")
            except subprocess.TimeoutExpired as error:  # the failure itself is what must be told
                said.append(f"-- {machine}\n{error}")
        pytest.fail("\n".join(said))

    def json(self, *words: str) -> Any:
        return json.loads(self.run(*words, "--json").stdout)

    def ssh(self, machine: str, *argv: str, check: bool = True) -> str:
        return self.run("ssh", machine, "--", *argv, check=check).stdout

    def kubectl(self, *argv: str, check: bool = True) -> str:
        return self.run("kubectl", "--", *argv, check=check).stdout

    def start(self, *words: str) -> subprocess.Popen[str]:
        """Run in the background, in a session of its own, its words kept for the one who waits."""
        return subprocess.Popen(
            self.command(*words),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env=environment(),
            start_new_session=True,
        )

    def boots(self) -> dict[str, str]:
        """Each machine's kernel-wide boot time is the host's, so its first process tells when it was started."""
        return {
            machine["name"]: self.ssh(machine["name"], "stat", "--format=%Z", "/proc/1").strip()
            for machine in self.json("status")["machines"]
        }

    @contextmanager
    def holding_the_lock(self) -> Iterator[subprocess.Popen[str]]:
        """An `up` that is stopped (SIGSTOP) while it holds the platform's lock."""
        first = self.start("up")
        try:
            lock = self.state / "locks"
            deadline = time.monotonic() + 30
            while not any(str(first.pid) in path.read_text() for path in lock.glob("*.lock")):
                assert first.poll() is None, "the first one ended before it was seen at work"
                assert time.monotonic() < deadline, "the first one never took the lock"
            os.kill(first.pid, signal.SIGSTOP)
            yield first
        finally:
            os.kill(first.pid, signal.SIGCONT)
            first.communicate(timeout=300)

    def up_until(
        self, words: str, *, command: tuple[str, ...] = ("up",), moment: float = 3, timeout: float = 600
    ) -> None:
        """Run ``command``, kill it and all it started in its session with SIGKILL ``moment`` seconds after
        ``words`` show in its progress: in the middle of what has just begun."""
        with self.start(*command) as running:
            assert running.stdout is not None
            deadline = time.monotonic() + timeout
            seen = []
            for line in running.stdout:
                seen.append(line)
                if words in line:
                    break
                assert time.monotonic() < deadline, f"{words!r} not seen:\n{''.join(seen)}"
            else:
                self.fail(f"{command[0]} ended before {words!r}:\n{''.join(seen)}")
            time.sleep(moment)
            os.killpg(running.pid, signal.SIGKILL)

    def kill_machines(self) -> None:
        """SIGKILL to every process the lab has, machines and all: what a power cut of the computer leaves running."""
        groups = [path for path in Path("/sys/fs/cgroup").rglob("groundplane/labtest") if path.is_dir()]
        assert groups
        for group in groups:
            for file in group.rglob("cgroup.procs"):
                with suppress(FileNotFoundError):  # its group went with the processes killed before
                    for pid in file.read_text().split():
                        with suppress(ProcessLookupError):
                            os.kill(int(pid), signal.SIGKILL)


def environment() -> dict[str, str]:
    return {**os.environ, "NO_COLOR": "1", "COLUMNS": "160"}


@pytest.fixture(scope="session")
def platform(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Platform]:
    """The platform of the shipped example, up. It is removed at the end whatever happened."""
    if os.geteuid() != 0:
        pytest.fail("the lab needs root: run `sudo make lab`")
    folder = tmp_path_factory.mktemp("lab")
    file = folder / "cluster.yaml"
    # A name of its own: somebody may have the example's platform running on this computer.
    file.write_text(EXAMPLE.read_text().replace("name: lab ", "name: labtest "))
    # What a computer's first `ip netns add` changes for good is no trace of the lab's.
    subprocess.run(["ip", "netns", "add", "gpfirst"], check=True)
    subprocess.run(["ip", "netns", "del", "gpfirst"], check=True)
    here = Platform(file, folder / "state", host.take())
    built = here.run("up", check=False, timeout=3600)
    try:
        if built.returncode != 0:
            here.fail(f"up ended with {built.returncode}\n{built.stdout}\n{built.stderr}")
        yield here
    finally:
        here.run("down", "--yes")
