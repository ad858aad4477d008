"""One real platform, built once and shared by the tests that look at it."""

from __future__ import annotations

import fcntl
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, NoReturn

import pytest

from groundplane.components.etcd.remote.begin_etcd_anew import HEAD, SNAPSHOT, records
from tests.lab import cgroups, host

ROOT = Path(__file__).parents[2]
EXAMPLE = ROOT / "examples" / "lab.yaml"
SOON = 90  # seconds: what takes three on an idle computer

# What tells most stands first: whoever shows it may cut off the rest.
CONTROL_PLANE: Final = """
tail --lines=6 /var/log/pods/kube-system_{etcd,kube-apiserver}-*/*/*.log | cut -c -300
kubectl --kubeconfig=/etc/kubernetes/admin.conf --server=https://127.0.0.1:6443 get --raw='/readyz?verbose' 2>&1
tail --lines=20 /run/groundplane/kubeadm.log
journalctl -u kubelet -n 10 | cut -c -300
"""
BALANCER: Final = "crm_mon --one-shot; echo 'show servers state' | socat - /run/haproxy/admin.sock; journalctl -n 15"
EVIDENCE: Final = {"cp1": CONTROL_PLANE, "lb1": BALANCER, "lb2": BALANCER}


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

    def run(
        self, *words: str, check: bool = True, timeout: float = 900, fed: str | None = None
    ) -> subprocess.CompletedProcess[str]:
        """Run to the end; ``fed`` is what it reads."""
        argv, around = self.command(*words), environment()
        done = subprocess.run(argv, input=fed, capture_output=True, text=True, timeout=timeout, env=around, check=False)
        if check and done.returncode != 0:
            self.fail(f"{' '.join(words)} ended with {done.returncode}\n{done.stdout}\n{done.stderr}")
        return done

    def fail(self, words: str) -> NoReturn:
        """Fail with ``words`` and what the machines have to say: they are gone when somebody reads it."""
        said = [words]
        for machine, script in EVIDENCE.items():
            try:
                answer = self.run("ssh", machine, "--", "bash", "-c", script, check=False, timeout=60)
                said.append(f"-- {machine}\n{answer.stdout}{answer.stderr}")
            except subprocess.TimeoutExpired as error:  # the failure itself is what must be told
                said.append(f"-- {machine}\n{error}")
        pytest.fail("\n".join(said))

    def wait_for(self, what: str, holds: Callable[[], bool], *, within: float = SOON) -> None:
        """Ask twice a second until ``holds``; fail with ``what`` when it doesn't ``within`` so many seconds."""
        deadline = time.monotonic() + within
        while not holds():
            if time.monotonic() > deadline:
                self.fail(f"did not come true within {within} s: {what}")
            time.sleep(0.5)

    def nothing_differs(self) -> None:
        """The platform is as its file says; what isn't is told."""
        done = self.run("plan", check=False)
        assert done.returncode == 0, done.stdout + done.stderr

    def json(self, *words: str) -> Any:
        return json.loads(self.run(*words, "--json").stdout)

    def ssh(self, machine: str, *argv: str, check: bool = True) -> str:
        return self.run("ssh", machine, "--", *argv, check=check).stdout

    def kubectl(self, *argv: str, check: bool = True) -> str:
        return self.run("kubectl", "--", *argv, check=check).stdout

    def make(self, manifest: str) -> None:
        """Have the cluster's objects that ``manifest`` says."""
        self.run("kubectl", "--", "apply", "-f", "-", fed=manifest, timeout=60)

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
        self,
        words: str,
        *,
        command: tuple[str, ...] = ("up",),
        moment: Callable[[], None],
        timeout: float = 600,
    ) -> None:
        """Run ``command``, kill it and all it started in its session with SIGKILL once ``words`` showed in its
        progress and ``moment`` was waited for: in the middle of what has just begun."""
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
            moment()
            os.killpg(running.pid, signal.SIGKILL)

    def kill_machines(self) -> None:
        """SIGKILL to every process the lab has, machines and all: what a power cut of the computer leaves running."""
        found = cgroups.groups(self.name)
        assert found
        for group in found:
            for pid in cgroups.processes(group):
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)

    def etcd_killed_before_it_writes(self, machine: str) -> None:
        """Wait for etcd to make its log, and SIGKILL it there and then: nothing was ever written to it.

        A few milliseconds decide, so what it did write is taken out again.
        """
        deadline = time.monotonic() + 120
        while (found := self._etcd_with_a_log(machine)) is None:
            assert time.monotonic() < deadline, "etcd never made its log"
        process, path = found
        with path.open("rb+") as log:
            os.kill(process, signal.SIGKILL)
            fcntl.lockf(log, fcntl.LOCK_EX)  # etcd's own: it is free when etcd is gone
            ends = [end for kind, end in records(Path(f"/proc/self/fd/{log.fileno()}")) if kind in HEAD]
            log.seek(ends[-1])
            log.write(bytes(1 << 16))

    def _etcd_with_a_log(self, machine: str) -> tuple[int, Path] | None:
        """Its process, and where the log is as long as that lives; None until the log's head is whole."""
        for process in Path("/proc").glob("[0-9]*"):
            with suppress(OSError):  # it ended meanwhile
                ours = f"groundplane/{self.name}/{machine}" in (process / "cgroup").read_text()
                if ours and (process / "comm").read_text() == "etcd\n":
                    for log in process.glob("root/var/lib/etcd/member/wal/*.wal"):
                        if SNAPSHOT in (kind for kind, _ in records(log)):
                            return int(process.name), log
        return None


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
    here = Platform(file, folder / "state", host.take())
    built = here.run("up", check=False, timeout=3600)
    # Somebody else's, while the lab stands: it must cover nothing of the lab's.
    subprocess.run(["ip", "netns", "add", "gpfirst"], check=True)
    subprocess.run(["ip", "netns", "del", "gpfirst"], check=True)
    try:
        if built.returncode != 0:
            here.fail(f"up ended with {built.returncode}\n{built.stdout}\n{built.stderr}")
        yield here
    finally:
        here.run("down", "--yes")
