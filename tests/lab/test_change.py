"""A standing platform is kept true to its file: looked at, changed, mended, and never left half-way."""

from __future__ import annotations

import asyncio
import json
import shlex
import subprocess
import tempfile
import time
from base64 import b64decode
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from groundplane import recipes
from groundplane.errors import ApplyError
from groundplane.rollout.link import AgentLink
from groundplane.state.change import Action, Kind
from groundplane.state.model import File, MachineState, Package, Unit
from groundplane.transport.base import Transport
from groundplane.verify.condition import NotYet, wait_until
from tests.lab.conftest import Platform

pytestmark = pytest.mark.lab

HAPROXY = "/etc/haproxy/haproxy.cfg"
SCHEDULER = "/etc/kubernetes/manifests/kube-scheduler.yaml"
PLACE = "/srv/change-test"


# -- the whole platform --------------------------------------------------------------------------------------------


def plan(platform: Platform, *, command: str = "plan") -> tuple[int, Any]:
    done = platform.run(command, "--json", check=False)
    assert done.returncode in (0, 2), done.stderr
    return done.returncode, json.loads(done.stdout)


def changes_of(document: Any) -> set[tuple[str, str, str, str]]:
    return {
        (machine["machine"], change["kind"], change["key"], change["action"])
        for batch in document["batches"]
        for machine in batch
        for change in machine["changes"]
    }


def test_seed_and_agent_agree(platform: Platform) -> None:
    """Right after the first boot nothing differs, and looking leaves nothing that would."""
    for _ in range(2):
        status, document = plan(platform)
        assert (status, document["changed"]) == (0, False), document


def test_drift_is_found_shown_and_mended(platform: Platform) -> None:
    begin = time.time()
    holder = platform.json("status")["floating_holder"]
    platform.ssh("worker1", "sh", "-c", "echo '# mine' >> /etc/chrony/chrony.conf")
    platform.ssh("worker1", "systemctl", "stop", "chrony")
    platform.ssh("cp2", "chmod", "0644", "/etc/kubernetes/pki/sa.key")
    platform.ssh(holder, "sh", "-c", f"echo '# mine' >> {HAPROXY}")
    platform.ssh("worker2", "sysctl", "-qw", "net.ipv4.conf.all.accept_redirects=1")
    platform.ssh("worker2", "ip", "address", "flush", "dev", "lan0", "scope", "global")
    platform.kubectl("cordon", "worker2")
    platform.ssh("cp2", "sed", "-i", "s/--profiling=false/--profiling=true/", SCHEDULER)
    platform.ssh("worker2", "sh", "-c", "echo kept > /etc/not-ours")
    platform.wait_for(
        "worker2 isn't ready without its address",
        lambda: not next(node["ready"] for node in platform.json("status")["nodes"] if node["name"] == "worker2"),
    )

    status, document = plan(platform, command="drift")
    assert status == 2
    found = changes_of(document)
    assert {
        ("worker1", "file", "/etc/chrony/chrony.conf", "update"),
        ("worker1", "unit", "chrony.service", "start"),
        ("cp2", "file", "/etc/kubernetes/pki/sa.key", "update"),
        (holder, "file", HAPROXY, "update"),
        (holder, "unit", "haproxy.service", "reload"),
        ("worker2", "sysctl", "net.ipv4.conf.all.accept_redirects", "update"),
        ("worker2", "address", "lan0", "update"),
    } <= found
    assert [step["name"] for step in document["steps"]] == ["static-pods:cp2", "schedulable:worker2", "ready:worker2"]
    assert "-    - --profiling=true" in document["steps"][0]["diff"]
    edited = next(
        change
        for batch in document["batches"]
        for machine in batch
        for change in machine["changes"]
        if (machine["machine"], change["key"]) == ("worker1", "/etc/chrony/chrony.conf")
    )
    assert "-# mine" in edited["diff"]
    assert begin - 2 <= datetime.fromisoformat(edited["since"]).timestamp() <= time.time()
    assert document["batches"][-1][0]["machine"] == holder, "the one that holds the address comes last"
    assert document["batches"][-1][0]["interruptions"][0]["unit"] == "haproxy.service"

    with requests(platform) as failures:
        platform.run("apply", "--yes")
    assert failures == [], "HAProxy reloads without dropping a connection"
    platform.nothing_differs()
    assert "--profiling=false" in platform.ssh("cp2", "cat", SCHEDULER)
    assert platform.ssh("worker1", "systemctl", "is-active", "chrony").strip() == "active"
    assert platform.ssh("cp2", "stat", "-c", "%a", "/etc/kubernetes/pki/sa.key").strip() == "600"
    assert platform.ssh("worker2", "cat", "/etc/not-ours").strip() == "kept"
    assert "SchedulingDisabled" not in platform.kubectl("get", "nodes")
    entries = platform.json("history", "show", str(platform.json("history")["runs"][0]["id"]))["entries"]
    assert any(
        (entry["subject"], entry["step"]) == ("worker1", "file /etc/chrony/chrony.conf") and entry["changed"]
        for entry in entries
    )


def test_an_apply_that_is_killed_is_finished_by_the_next(platform: Platform) -> None:
    for machine in ("worker1", "worker2", "cp1", "lb2"):
        platform.ssh(machine, "sh", "-c", "echo '# mine' >> /etc/chrony/chrony.conf")
    platform.up_until("worker1: apply", command=("apply", "--yes"), moment=lambda: time.sleep(0.2))
    status, document = plan(platform)
    assert status == 2, document
    platform.run("apply", "--yes")
    platform.nothing_differs()
    assert platform.json("history")["runs"][1]["outcome"] == "interrupted"


def test_new_sizes_take_hold_without_a_restart(platform: Platform) -> None:
    text = platform.file.read_text()
    boots = platform.boots()
    try:
        assert capacity(platform, "worker1") == {"cpu": "2", "memory": "3Gi"}, "not the computer's"
        platform.file.write_text(text.replace("worker: {cpus: 2, memory: 3GiB}", "worker: {cpus: 1, memory: 2GiB}"))
        refused = platform.run("up", check=False)
        assert refused.returncode != 0
        assert "groundplane apply" in refused.stderr
        status, document = plan(platform)
        assert (status, document["edits"]) == (2, ["sizes.worker.cpus: 2 → 1", "sizes.worker.memory: 3GiB → 2GiB"])
        platform.run("apply", "--yes")
        platform.nothing_differs()
        assert platform.boots() == boots
        assert capacity(platform, "worker1") == {"cpu": "1", "memory": "2Gi"}
        platform.file.write_text(text.replace("domain: groundplane.internal", "domain: other.internal"))
        fixed = platform.run("plan", check=False)
        assert fixed.returncode == 1
        assert "network.domain" in fixed.stderr
    finally:
        platform.file.write_text(text)
        platform.run("apply", "--yes")


def capacity(platform: Platform, node: str) -> dict[str, str]:
    """What Kubernetes counts with."""
    found = json.loads(platform.kubectl("get", "node", node, "-o", "jsonpath={.status.capacity}"))
    return {what: found[what] for what in ("cpu", "memory")}


# -- one machine and its agent -------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def reach(platform: Platform) -> Transport:
    return recipes.existing(recipes.Options(platform.file, state_dir=platform.state))[1].transport


@pytest.fixture(scope="module")
def worker(platform: Platform) -> MachineState:
    design = recipes.existing(recipes.Options(platform.file, state_dir=platform.state))[0]
    return next(state for state in design.states if state.machine == "worker1")


def bring(reach: Transport, state: MachineState) -> list[tuple[Kind, str, Action]]:
    async def work() -> list[tuple[Kind, str, Action]]:
        done = await AgentLink(reach).bring(state)
        return [(each.change.kind, each.change.key, each.change.action) for each in done]

    return asyncio.run(work())


def refused(reach: Transport, state: MachineState) -> ApplyError:
    with pytest.raises(ApplyError) as caught:
        bring(reach, state)
    assert caught.value.where == state.machine
    assert caught.value.hint, "what to do next"
    return caught.value


def with_files(state: MachineState, *files: File) -> MachineState:
    return replace(state, files=tuple(sorted((*state.files, *files), key=lambda file: file.path)))


def with_unit(state: MachineState, unit: Unit, *files: File) -> MachineState:
    units = tuple(sorted((*state.units, unit), key=lambda unit: unit.name))
    return with_files(replace(state, units=units), *files)


def oneshot(command: str) -> bytes:
    service = f"[Service]\nType=oneshot\nRemainAfterExit=yes\nExecStart={command}\n"
    return f"{service}[Install]\nWantedBy=multi-user.target\n".encode()


def test_a_file_no_longer_wanted_goes_and_foreign_ones_stay(
    platform: Platform, reach: Transport, worker: MachineState
) -> None:
    bring(reach, with_files(worker, File(f"{PLACE}/ours", b"ours\n")))
    platform.ssh("worker1", "sh", "-c", f"echo foreign > {PLACE}/foreign")
    assert bring(reach, worker) == [(Kind.FILE, f"{PLACE}/ours", Action.REMOVE)]
    assert platform.ssh("worker1", "ls", PLACE).split() == ["foreign"]


def test_what_its_program_refuses_is_refused_before_anything_is_touched(platform: Platform, reach: Transport) -> None:
    design = recipes.existing(recipes.Options(platform.file, state_dir=platform.state))[0]
    state = next(state for state in design.states if state.machine == "lb1")
    bad = tuple(replace(f, content=f.content + b"nonsense here\n") if f.path == HAPROXY else f for f in state.files)
    before = platform.ssh("lb1", "sha256sum", HAPROXY)
    findings = asyncio.run(AgentLink(reach).observe(replace(state, files=bad)))
    assert [one.change.key for one in findings.refused] == [HAPROXY]
    assert "nonsense" in findings.refused[0].detail
    assert "haproxy" in refused(reach, replace(state, files=bad)).what
    assert platform.ssh("lb1", "sha256sum", HAPROXY) == before


def test_a_unit_that_does_not_come_up_gets_its_old_files_back(
    platform: Platform, reach: Transport, worker: MachineState
) -> None:
    path = "/etc/systemd/system/change-test.service"

    def serving(command: str) -> MachineState:
        return with_unit(worker, Unit("change-test.service", reads=(path,)), File(path, oneshot(command)))

    bring(reach, serving("/bin/true"))
    error = refused(reach, serving("/bin/false"))
    assert "change-test.service" in error.what + error.detail
    assert "/bin/true" in platform.ssh("worker1", "cat", path)
    assert platform.ssh("worker1", "systemctl", "is-active", "change-test").strip() == "active"
    assert bring(reach, serving("/bin/true")) == []
    done = bring(reach, worker)
    assert (Kind.FILE, path, Action.REMOVE) in done
    assert asyncio.run(AgentLink(reach).observe(worker)).changes == ()


@pytest.mark.parametrize(("options", "words"), [("size=16k", "space"), ("ro", "read-only")])
def test_a_disk_that_takes_nothing_is_said_and_nothing_is_half_written(
    platform: Platform, reach: Transport, worker: MachineState, options: str, words: str
) -> None:
    platform.ssh("worker1", "sh", "-c", f"mkdir -p {PLACE}/disk && mount -t tmpfs -o {options} tmpfs {PLACE}/disk")
    wanted = with_files(worker, File(f"{PLACE}/disk/big", b"x" * 100_000), File(f"{PLACE}/beside", b"beside\n"))
    try:
        error = refused(reach, wanted)
        assert words in (error.what + error.detail).lower()
        assert platform.ssh("worker1", "ls", "-A", f"{PLACE}/disk").split() == []
        assert "beside" not in platform.ssh("worker1", "ls", PLACE)
    finally:
        platform.ssh("worker1", "umount", f"{PLACE}/disk")
    assert len(bring(reach, wanted)) == 2
    bring(reach, worker)


@pytest.mark.long
def test_the_holder_of_apts_lock_is_waited_for_and_named(
    platform: Platform, reach: Transport, worker: MachineState
) -> None:
    """No package can come, as the lab has no way out: first it is said who holds the lock, then what apt says."""
    wanted = replace(worker, packages=tuple(sorted((*worker.packages, Package("hello")), key=lambda p: p.name)))
    hold = (
        "import fcntl,signal; f=open('/var/lib/dpkg/lock-frontend','w'); fcntl.lockf(f, fcntl.LOCK_EX); signal.pause()"
    )
    holder = platform.start("ssh", "worker1", "--", "python3", "-c", hold)
    try:
        wait_for_lock(platform)
        error = refused(reach, wanted)
        assert "lock" in (error.what + error.detail + error.hint).lower()
    finally:
        platform.ssh("worker1", "sh", "-c", f"kill $(pgrep -f {shlex.quote('lock-frontend')})", check=False)
        holder.communicate(timeout=60)
    error = refused(reach, wanted)
    assert "hello" in error.what + error.detail


def wait_for_lock(platform: Platform) -> None:
    deadline = time.monotonic() + 30
    taken = "import fcntl; f=open('/var/lib/dpkg/lock-frontend','w'); fcntl.lockf(f, fcntl.LOCK_EX|fcntl.LOCK_NB)"
    while platform.run("ssh", "worker1", "--", "python3", "-c", taken, check=False).returncode == 0:
        assert time.monotonic() < deadline, "nobody took apt's lock"


def test_two_agents_do_not_work_on_one_machine(platform: Platform, reach: Transport, worker: MachineState) -> None:
    slow = "/etc/systemd/system/change-slow.service"
    state = with_unit(worker, Unit("change-slow.service", reads=(slow,)), File(slow, oneshot("/bin/sleep 8")))

    async def at_work() -> None:
        free = await reach.run("worker1", ("flock", "--nonblock", "/run/groundplane/agent.lock", "true"), check=False)
        if free.status == 0:
            raise NotYet("nobody works on it")

    async def both() -> list[object]:
        first = asyncio.create_task(AgentLink(reach).bring(state))
        await wait_until("the first agent is at work", at_work, deadline=60, every=0.1)
        second = await asyncio.gather(AgentLink(reach).bring(worker), return_exceptions=True)
        return [*second, await first]

    second, first = asyncio.run(both())
    assert isinstance(second, ApplyError)
    assert "works on this machine" in second.what
    assert isinstance(first, tuple)
    bring(reach, worker)


def test_an_agent_that_is_killed_half_way_leaves_what_the_next_one_finishes(
    platform: Platform, reach: Transport, worker: MachineState
) -> None:
    slow, config = "/etc/systemd/system/change-slow.service", "/etc/change-slow.conf"
    unit = Unit("change-slow.service", reads=(slow, config))

    def wanting(content: bytes) -> MachineState:
        return with_unit(worker, unit, File(slow, oneshot("/bin/sleep 8")), File(config, content))

    bring(reach, wanting(b"one\n"))

    async def replaced() -> None:
        if (await reach.run("worker1", ("cat", config))).text != "two":
            raise NotYet("the file is as before")

    async def killed() -> None:
        work = asyncio.create_task(AgentLink(reach).bring(wanting(b"two\n")))
        await wait_until("the file is replaced", replaced, deadline=60, every=0.1)
        work.cancel()
        await asyncio.wait([work])

    asyncio.run(killed())
    assert platform.ssh("worker1", "cat", config).strip() == "two", "it was cut off while the unit restarted"
    again = bring(reach, wanting(b"two\n"))
    assert (Kind.UNIT, "change-slow.service", Action.RESTART) in again
    assert bring(reach, wanting(b"two\n")) == []
    bring(reach, worker)
    platform.nothing_differs()


# -- requests while something happens ------------------------------------------------------------------------------


ASK = """
while :; do
    rm -f body
    answer=$(curl -sk --max-time 5 --cert client.pem -o body -w '%{http_code}' \
        https://10.80.0.10:6443/api/v1/namespaces/kube-system || echo " curl $?")
    [ "$answer" = 200 ] && echo 200 || echo "$(date +%T) $answer $(head -c 500 body 2>/dev/null | tr '\\n' ' ')"
    sleep 0.05
done
"""


@contextmanager
def requests(platform: Platform) -> Iterator[list[str]]:
    """Read from etcd by the API through the floating address all along, each time anew; yields what failed."""
    user = YAML(typ="safe").load(platform.run("kubeconfig").stdout)["users"][0]["user"]
    folder = Path(tempfile.mkdtemp(dir=platform.file.parent))  # for root alone
    pair = (b64decode(user[f"client-{part}-data"]) for part in ("certificate", "key"))
    (folder / "client.pem").write_bytes(b"".join(pair))
    failures: list[str] = []
    argv = ["nsenter", f"--net=/run/netns/gp-{platform.name}", "sh", "-c", ASK]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True, cwd=folder) as asking:
        try:
            yield failures
        finally:
            asking.terminate()
            answers = asking.communicate()[0].splitlines()
        assert len(answers) > 20, "it must have asked, or it proves nothing"
        failures += [answer for answer in answers if answer != "200"]
