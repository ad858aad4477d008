"""One platform, built as a user builds it, then looked at, switched off, interrupted and removed.

The tests run in the order they stand in: each leaves a whole platform to the next.
"""

from __future__ import annotations

import base64
import json
import re
import signal
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Final

import pytest

from tests.lab import host
from tests.lab.conftest import Platform

pytestmark = [pytest.mark.lab, pytest.mark.timeout(1800)]

MACHINES = ("gateway", "lb1", "lb2", "cp1", "cp2", "cp3", "worker1", "worker2")


def test_every_check_holds(platform: Platform) -> None:
    report = platform.json("verify")
    assert report["ok"]
    names = {check["name"] for check in report["checks"]}
    assert len(names) >= 30, names
    assert all(check["seen"] for check in report["checks"])


def test_up_on_a_finished_platform_changes_nothing(platform: Platform) -> None:
    assert [machine["name"] for machine in platform.json("status")["machines"]] == list(MACHINES)
    before = platform.boots()
    assert "nothing had to be changed" in platform.run("up").stdout
    last = platform.json("history")["runs"][0]
    entries = platform.json("history", "show", str(last["id"]))["entries"]
    assert [entry for entry in entries if entry["changed"]] == []
    assert platform.boots() == before


def test_the_second_operator_is_told_who_works(platform: Platform) -> None:
    with platform.holding_the_lock() as holder:
        second = platform.run("up", check=False)
    assert second.returncode == 1
    assert str(holder.pid) in second.stderr
    assert "up" in second.stderr


def test_kubectl_works_from_the_host(platform: Platform, tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp("kubeconfig")
    config = folder / "config"
    platform.run("kubeconfig", "--out", str(config))
    assert config.stat().st_mode & 0o777 == 0o600
    server = next(line.split()[1] for line in config.read_text().splitlines() if "server:" in line)
    assert server.startswith('"https://127.0.0.1:')
    nodes = json.loads(platform.kubectl("get", "nodes", "-o", "json"))
    assert len(nodes["items"]) == 5


def test_no_pod_meets_a_node_whose_network_is_not_there_yet(platform: Platform) -> None:
    """Nodes were born, and went off and on: who comes before flannel does waits, and isn't sent to fail."""
    events = json.loads(platform.kubectl("get", "events", "-A", "-o", "json"))["items"]
    assert events
    assert [event["message"] for event in events if "subnet.env" in event.get("message", "")] == []


def test_kubectl_acts_on_this_computer(platform: Platform, tmp_path: Path) -> None:
    file = tmp_path / "mine.txt"
    file.write_text("carried\n")
    made = ("create", "configmap", "mine", f"--from-file={file}", "--dry-run=client", "-o", "yaml")
    manifest = tmp_path / "mine.yaml"
    manifest.write_text(platform.run("kubectl", "-n", "default", *made).stdout)
    try:
        platform.run("kubectl", "--namespace=default", "apply", "-f", str(manifest))
        assert platform.kubectl("get", "configmap", "mine", "-o", "jsonpath={.data}") == '{"mine.txt":"carried\\n"}'
    finally:
        platform.kubectl("delete", "configmap", "mine", "--ignore-not-found")
    missing = platform.run("kubectl", "apply", "-f", str(tmp_path / "nosuch"), check=False)
    assert (missing.returncode, "nosuch" in missing.stderr) == (1, True)
    program = platform.run(
        "kubectl", "-n", "kube-system", "exec", "ds/kube-proxy", "--", "sh", "-c", "exit 7", check=False
    )
    assert program.returncode == 7
    kube_proxy = platform.kubectl("-n", "kube-system", "get", "pods", "-l", "k8s-app=kube-proxy", "-o", "name").split()[
        0
    ]
    platform.run("kubectl", "-n", "kube-system", "cp", str(file), f"{kube_proxy.removeprefix('pod/')}:/tmp/mine.txt")
    there = platform.run("kubectl", "-n", "kube-system", "exec", kube_proxy, "--", "cat", "/tmp/mine.txt")
    assert there.stdout == "carried\n"


def test_a_port_is_forwarded_to_this_computer(platform: Platform) -> None:
    with platform.start("kubectl", "-n", "kube-system", "port-forward", "deployment/coredns", ":8080") as forwarding:
        try:
            assert forwarding.stdout is not None
            port = re.search(r"127\.0\.0\.1:(\d+)", forwarding.stdout.readline())
            assert port is not None
            with urllib.request.urlopen(f"http://127.0.0.1:{port[1]}/health", timeout=10) as answer:
                assert answer.read() == b"OK"
        finally:
            forwarding.send_signal(signal.SIGINT)


def test_a_pod_that_always_pulls_runs_without_the_internet(platform: Platform) -> None:
    images = json.loads(platform.kubectl("get", "pods", "-A", "-o", "json"))
    flannel = next(
        container["image"]
        for pod in images["items"]
        for container in pod["spec"]["containers"]
        if "flannel" in container["image"]
    )
    platform.kubectl(
        "run", "always", f"--image={flannel}", "--image-pull-policy=Always", "--restart=Never",
        "--command", "--", "/opt/bin/flanneld", "--version",
    )  # fmt: skip
    try:
        platform.kubectl(
            "wait", "--for=jsonpath={.status.phase}=Succeeded", "pod/always", "--timeout=60s"
        )  # fmt: skip
    finally:
        platform.kubectl("delete", "pod", "always", "--wait=true")


def test_anonymous_requests_reach_the_health_paths_alone(platform: Platform) -> None:
    def status(path: str) -> str:
        return platform.ssh(
            "worker1", "curl", "-sk", "-o", "/dev/null", "-w", "%{http_code}",
            f"https://api.groundplane.internal:6443{path}",
        )  # fmt: skip

    assert status("/readyz") == "200"
    assert status("/livez") == "200"
    assert status("/version") == "401"
    assert status("/api/v1/namespaces/kube-public/configmaps/cluster-info") == "401"


def test_secrets_are_encrypted_in_etcd(platform: Platform) -> None:
    platform.kubectl("create", "secret", "generic", "written", "--from-literal=word=groundplane-in-the-clear")
    try:
        raw = platform.ssh(
            "cp2", "etcdctl", "--endpoints=https://127.0.0.1:2379", "--cacert=/etc/kubernetes/pki/etcd/ca.crt",
            "--cert=/etc/kubernetes/pki/etcd/server.crt", "--key=/etc/kubernetes/pki/etcd/server.key",
            "get", "/registry/secrets/default/written", "--write-out=json",
        )  # fmt: skip
        value = base64.b64decode(json.loads(raw)["kvs"][0]["value"])
        assert value.startswith(b"k8s:enc:")
        assert b"groundplane-in-the-clear" not in value
    finally:
        platform.kubectl("delete", "secret", "written")


def test_no_join_token_is_left(platform: Platform) -> None:
    tokens = platform.kubectl(
        "get", "secrets", "-n", "kube-system", "--field-selector=type=bootstrap.kubernetes.io/token", "-o", "name"
    )
    assert tokens.strip() == ""


def test_a_stranger_gets_an_address_of_the_pool_and_a_name(platform: Platform) -> None:
    lan = f"gp-{platform.json('status')['name']}"
    space = "gpstranger"
    subprocess.run(["ip", "netns", "add", space], check=True)
    try:
        run_in(lan, "ip", "link", "add", "stranger", "type", "veth", "peer", "name", "eth0", "netns", space)
        run_in(lan, "ip", "link", "set", "stranger", "master", "lan", "up")
        run_in(space, "ip", "link", "set", "eth0", "up")

        def lease(name: str) -> str:
            offer = run_in(space, "busybox", "udhcpc", "-i", "eth0", "-n", "-q", "-f", "-s", "/bin/true",
                           "-x", f"hostname:{name}")  # fmt: skip
            words = (offer.stdout + offer.stderr).split()
            assert "of" in words, offer.stderr
            return words[words.index("of") + 1].rstrip(",")

        def named(name: str) -> str:
            answer = platform.ssh("worker1", "sh", "-c", f"getent ahosts {name}.groundplane.internal || true")
            return answer.split()[0] if answer.split() else ""

        address = lease("visitor")
        assert address.startswith("10.80.0.")
        assert int(address.rsplit(".", 1)[1]) >= 192
        assert named("visitor") == address
        # A name that programs look up for themselves: everybody's browser would ask the stranger for its proxy.
        assert lease("wpad") == address
        assert named("wpad") == ""
    finally:
        run_in(lan, "ip", "link", "del", "stranger", check=False)
        subprocess.run(["ip", "netns", "del", space], check=True)


# Stands before what keeps the outer card down where the platform has no way out.
OVER = "/run/systemd/network/01-outside.network"
OUTSIDE = f"""mkdir -p /run/systemd/network && cat >{OVER} <<end && networkctl reload
[Match]
Name=wan0
[Network]
Address=192.0.2.2/24
ConfigureWithoutCarrier=yes
LinkLocalAddressing=no
end
"""


def test_nothing_answers_on_the_outer_side(platform: Platform) -> None:
    platform.ssh("gateway", "sh", "-c", OUTSIDE)
    platform.wait_for(
        "the outer card is up with its address",
        lambda: {"UP", "192.0.2.2/24"} <= set(platform.ssh("gateway", "ip", "-br", "address", "show", "wan0").split()),
    )
    try:
        with outside(platform, "192.0.2.9") as space:
            answers_nobody(space)
    finally:
        platform.ssh("gateway", "sh", "-c", f"rm {OVER}; networkctl reload")


def answers_nobody(space: str) -> None:
    neighbour = run_in(space, "arping", "-c", "2", "-w", "3", "-I", "eth0", "192.0.2.2", check=False)
    assert neighbour.returncode == 0, "the outer side must be there, or the test proves nothing"
    for port in (53, 5000, 5403, 22, 6443):
        tried = run_in(space, "bash", "-c", f"timeout 1 bash -c '</dev/tcp/192.0.2.2/{port}'", check=False)
        assert tried.returncode != 0, f"port {port} answers on the outer side"
    asked = run_in(
        space, "bash", "-c", "timeout 2 dig +tries=1 +time=1 @192.0.2.2 cp1.groundplane.internal", check=False
    )
    assert asked.returncode != 0


def test_the_balancer_that_dies_is_replaced(platform: Platform) -> None:
    holder = platform.json("status")["floating_holder"]
    platform.run("stop", holder, "--force")
    other = "lb2" if holder == "lb1" else "lb1"
    platform.wait_for(f"{other} takes over", lambda: platform.json("status")["floating_holder"] == other)
    platform.kubectl("get", "--raw", "/readyz")
    platform.run("up")
    platform.run("verify")


def test_power_off_and_on_of_everything_at_once(platform: Platform) -> None:
    platform.run("stop", "--force")
    assert {machine["power"] for machine in platform.json("status")["machines"]} == {"off"}
    platform.run("start")
    platform.run("verify")


def test_down_leaves_nothing(platform: Platform) -> None:
    platform.run("down", "--yes")
    assert host.take().changed_since(platform.before) == {}
    left = [str(path.relative_to(platform.state)) for path in platform.state.rglob("*") if path.is_file()]
    remembered = {"format", "journal.sqlite", "journal.sqlite-wal", "journal.sqlite-shm", "locks/labtest.lock"}
    assert set(left) <= remembered


POINTS: Final = (
    # what is seen, how long after it, and whether all machines are killed as well
    ("gateway: boot", 3, False),
    (": boot", 3, True),  # of whichever machine takes long enough to be shown at work
    ("cp1: kubeadm-init", 0, True),  # before etcd writes anything
    ("cp1: kubeadm-init", 3, True),
    ("cp2: kubeadm-join", 1, False),
    ("cp2: etcd-join", 1, False),
    ("cp3: etcd-join", 3, True),
)


@pytest.mark.parametrize(
    "points", [POINTS[0::2], pytest.param(POINTS, marks=pytest.mark.long)], ids=["some points", "all points"]
)
def test_up_killed_at_several_points_is_finished_by_running_it_again(
    platform: Platform, points: tuple[tuple[str, int, bool], ...]
) -> None:
    """The tool alone is killed at some points, at others all it started too, in the middle of kubeadm's work."""
    platform.run("down", "--yes")
    for words, seconds, machines_too in points:
        moment = partial(time.sleep, seconds) if seconds else partial(platform.etcd_killed_before_it_writes, "cp1")
        platform.up_until(words, moment=moment)
        if machines_too:
            platform.kill_machines()
    card = ("ip", "-brief", "address", "show", "dev", "lan0", "to", "198.51.100.1")
    run_in("gp-labtest.lb1", "ip", "address", "add", "198.51.100.1/32", "dev", "lan0")
    assert run_in("gp-labtest.lb1", *card).stdout
    platform.run("up", timeout=1800)
    assert platform.json("verify")["ok"]
    assert not run_in("gp-labtest.lb1", *card).stdout, "a machine started with what was on its card when it was killed"
    ups = [run["outcome"] for run in platform.json("history")["runs"] if run["command"] == "up"]
    assert ups[: len(points) + 1] == ["done", *["interrupted"] * len(points)]
    platform.run("down", "--yes")
    assert host.take().changed_since(platform.before) == {}


@contextmanager
def outside(platform: Platform, address: str) -> Iterator[str]:
    """A network namespace on the gateway's outer side, with ``address``; yields its name."""
    lan, space = f"gp-{platform.name}", "gpoutside"
    subprocess.run(["ip", "netns", "add", space], check=True)
    try:
        run_in(lan, "ip", "link", "add", "outside", "type", "veth", "peer", "name", "eth0", "netns", space)
        run_in(lan, "ip", "link", "set", "outside", "master", "wan", "up")
        run_in(space, "ip", "address", "add", f"{address}/24", "dev", "eth0")
        run_in(space, "ip", "link", "set", "eth0", "up")
        yield space
    finally:
        run_in(lan, "ip", "link", "del", "outside", check=False)
        subprocess.run(["ip", "netns", "del", space], check=True)


def run_in(space: str, *argv: str, check: bool = True) -> subprocess.CompletedProcess[str]:
    """Run a command in a network namespace, without the fresh /sys that `ip netns exec` would mount."""
    return subprocess.run(
        ["nsenter", f"--net=/run/netns/{space}", *argv], capture_output=True, text=True, check=check, timeout=60
    )
